# An index of what there is; everything is a cargo command.
default:
    @just --list
demo:                # a newcomer's minute
    cargo run --release -- demo
test *ARGS:          # the four rings
    cargo xtask test {{ARGS}}
tidy:                # the house's rules
    cargo xtask tidy
ebpf:                # build the eBPF object anew
    cargo xtask ebpf
bench *ARGS:         # ns per packet
    cargo xtask bench {{ARGS}}
ci *ARGS:            # what must hold before a change lands
    .ci/run {{ARGS}}
