"""Plays the steps of failures against real keepalived: guest.py FOLDER, as root in a throw-away guest.

FOLDER has keepalived.conf, steps, script and tell. d (the director) and r21 to r24 (servers, each in
its own namespace) are on one switch. A step is done, then awaited until the table has stayed as it
is for longer than any check takes; then the table is written down. `guest.py host` is a server.
"""
import os, signal, socket, subprocess, sys, threading, time

QUIET_S = 17
RUN = "/run/failures"


class Port:
    """A port that answers, or accepts and never answers."""

    def __init__(self, address, how):
        self.how, self.held = how, []
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(("0.0.0.0", int(address.split(":")[1])))
        self.socket.listen(64)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                stream = self.socket.accept()[0]
            except OSError:
                return
            hangs = self.how[0] == "hang"
            if hangs:
                self.held.append(stream)
            serve = self.hold if hangs else self.answer
            threading.Thread(target=serve, args=(stream,), daemon=True).start()

    def hold(self, stream):
        """Until the client goes, or a change shuts it down."""
        try:
            while stream.recv(4096):
                pass
        except OSError:
            pass
        stream.close()
        if stream in self.held:
            self.held.remove(stream)

    def answer(self, stream):
        try:
            heard = b""
            while b"\r\n\r\n" not in heard:
                more = stream.recv(4096)
                if not more:
                    return
                heard += more
            status, body = self.how[1], self.how[2].encode()
            head = f"HTTP/1.0 {status} Said\r\nContent-Length: {len(body)}\r\n\r\n"
            stream.sendall(head.encode() + body)
        except OSError:
            pass
        finally:
            stream.close()

    def become(self, how):
        self.how, held, self.held = how, self.held, []
        for stream in held:
            try:
                stream.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # its client has gone

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.become(["refuse"])


def host():
    """Does what lines on the standard input say, and says so."""
    ports = {}
    for line in sys.stdin:
        address, *how = line.split()
        if how[0] == "refuse":
            ports.pop(address).close()
        elif address in ports:
            ports[address].become(how)
        else:
            ports[address] = Port(address, how)
        print("done", flush=True)


def sh(line):
    done = subprocess.run(line, shell=True, stdout=subprocess.PIPE, text=True)
    assert done.returncode == 0, line
    return done.stdout


class World:
    def __init__(self, folder):
        os.makedirs(RUN)
        for name in ("script", "tell"):
            sh(f"install -m 755 {folder}/{name} {RUN}/{name}")
        open(f"{RUN}/told", "w").close()
        sh("ip netns add sw; ip -n sw link add lan type bridge; ip -n sw link set lan up")
        self.namespace("d", "10.2.0.1/24")
        sh("ip -n d addr add 10.1.0.10/32 dev eth0")
        self.hosts = {}
        for number in range(21, 25):
            name = f"r{number}"
            self.namespace(name, f"10.2.0.{number}/24")
            self.hosts[f"10.2.0.{number}"] = (name, subprocess.Popen(
                ["ip", "netns", "exec", name, "python3", __file__, "host"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1))

    def namespace(self, name, address):
        sh(f"ip netns add {name}; ip -n {name} link set lo up")
        sh(f"ip -n {name} link add eth0 type veth peer name p-{name} netns sw")
        sh(f"ip -n sw link set p-{name} master lan up; ip -n {name} link set eth0 up")
        sh(f"ip -n {name} addr add {address} dev eth0")

    def do(self, line):
        who, *what = line.split()
        if who == "script":
            with open(f"{RUN}/.new", "w") as file:
                file.write(" ".join(what[1:]) + "\n")
            os.rename(f"{RUN}/.new", f"{RUN}/{what[0]}")
        elif ":" in who:
            process = self.hosts[who.split(":")[0]][1]
            process.stdin.write(line.strip() + "\n")
            assert process.stdout.readline() == "done\n", line
        else:
            sh(f"ip -n {self.hosts[who][0]} link set eth0 {what[0]}")

    def settle(self, keepalived):
        """Until nothing has changed for so long; without a program, which is costly here."""
        seen, since = None, time.monotonic()
        while time.monotonic() - since < QUIET_S:
            with open(f"/proc/{keepalived.pid}/net/ip_vs") as table:
                now = table.read(), os.stat(f"{RUN}/told").st_size
            if now != seen:
                seen, since = now, time.monotonic()
            time.sleep(0.5)


def steps(text):
    """[name, lines] each."""
    found = []
    for line in text.splitlines():
        if line.startswith(" "):
            found[-1][1].append(line)
        elif line and not line.startswith("#"):
            found.append([line, []])
    return found


def play(folder):
    world = World(folder)
    keepalived, heard, starved = None, 0, False
    with open("/out/listings", "w") as out:
        for name, lines in steps(open(f"{folder}/steps").read()):
            for line in lines:
                world.do(line)
            keepalived = keepalived or start(folder)
            world.settle(keepalived)
            # Without its first line: that has the size of a table.
            listed = sh("ip netns exec d ipvsadm -Ln").split("\n", 1)[1]
            told = open(f"{RUN}/told").read()
            news = sorted(told[heard:].splitlines(True))
            heard = len(told)
            # Nothing happens twice in a step, unless the guest is starved and checks time out.
            starved = starved or len(set(news)) < len(news)
            news = "".join(news)
            out.write(f"# {name}\n--- ipvsadm -Ln\n{listed}--- told\n{news}\n")
            print(f"{time.monotonic():.0f} s: {name}", flush=True)
            assert keepalived.poll() is None, "keepalived has ended"
        keepalived.send_signal(signal.SIGTERM)
        keepalived.wait()
        time.sleep(1)
        news = "".join(sorted(open(f"{RUN}/told").read()[heard:].splitlines(True)))
        out.write(f"# keepalived is stopped\n--- told\n{news}")
    assert not starved, "checks timed out that should not: play it where there is less to do"


def start(folder):
    return subprocess.Popen(
        ["ip", "netns", "exec", "d", "keepalived", "-C", "-n", "-l", "-D", "-f",
         f"{folder}/keepalived.conf"],
        stdout=open("/out/keepalived.log", "w"), stderr=subprocess.STDOUT)


if sys.argv[1] == "host":
    host()
else:
    play(sys.argv[1])
