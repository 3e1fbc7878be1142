"""Plays a churn script under a real IPVS: guest.py SCRIPT RECORD, as root in a throw-away guest.

c (clients 10.1.1.x) - one switch - d (the director) - r1 to r4 (servers, each in its own namespace).
Every step is finished, on both sides, before the next begins; so what the director has counted when
it chooses does not hang on time. A step that nobody answers leaves its connection by TCP_REPAIR:
without a word, so that nothing is sent again later.
"""

import ctypes
import errno
import json
import os
import select
import socket
import struct
import subprocess
import sys
import threading
import time

SERVERS = (1, 2, 3, 4)
VIPS = ["10.1.0.%d" % n for n in range(101, 110)]
MARKED = "10.3.0.0/16"
PATIENCE = 0.7
TCP_REPAIR = 19
IP_PKTINFO = 8
IP_RECVERR = 11
libc = ctypes.CDLL(None, use_errno=True)


def setns(name):
    with open("/run/netns/" + name) as file:
        assert libc.setns(file.fileno(), 0x40000000) == 0, os.strerror(ctypes.get_errno())


def ip(name, *lines):
    args = ["ip"] + (["-n", name] if name else []) + ["-batch", "-"]
    subprocess.run(args, input="\n".join(lines) + "\n", text=True, check=True)


def sysctl(name, **values):
    settings = ["%s=%s" % (key.replace("__", "."), value) for key, value in values.items()]
    subprocess.run(["ip", "netns", "exec", name, "sysctl", "-qw", *settings], check=True)


def mac(name):
    return "02:00:00:00:00:%02x" % ({"c": 1, "d": 16}.get(name) or 32 + int(name[1:]))


def build():
    names = ["c", "d"] + ["r%d" % n for n in SERVERS]
    ip("", *("netns add " + name for name in ["sw"] + names))
    ip("sw", "link add switch type bridge", "link set switch up", "link set lo up")
    for name in names:
        sysctl(name, net__ipv4__conf__all__rp_filter=0, net__ipv4__conf__default__rp_filter=0,
               net__ipv4__conf__all__send_redirects=0, net__ipv4__conf__default__send_redirects=0)
        ip(name, "link set lo up",
           "link add eth0 address %s type veth peer name to-%s netns sw" % (mac(name), name),
           "link set eth0 up")
        ip("sw", "link set to-%s master switch up" % name)
    # Neighbours are told, not asked: no first packet is late.
    known = ["neigh add 10.1.0.10 lladdr %s dev eth0" % mac("d")]
    ip("c", "addr add 10.1.0.1/16 dev eth0", *("addr add 10.1.1.%d/16 dev eth0" % n for n in range(1, 65)),
       *known, *("route add %s via 10.1.0.10 src 10.1.0.1" % to for to in VIPS + [MARKED]))
    ip("d", "addr add 10.1.0.10/16 dev eth0", "addr add 10.2.0.10/24 dev eth0",
       *("addr add %s/32 dev eth0" % vip for vip in VIPS), "route add local %s dev lo" % MARKED,
       *("neigh add 10.1.1.%d lladdr %s dev eth0" % (n, mac("c")) for n in range(1, 65)),
       *("neigh add 10.%d.0.2%d lladdr %s dev eth0" % (net, n, mac("r%d" % n))
         for n in SERVERS for net in (1, 2)))
    sysctl("d", net__ipv4__ip_forward=1, net__ipv4__icmp_ratelimit=0, net__ipv4__icmp_msgs_per_sec=100000)
    for n in SERVERS:
        name = "r%d" % n
        sysctl(name, net__ipv4__conf__all__arp_ignore=1, net__ipv4__conf__all__arp_announce=2)
        ip(name, "addr add 10.1.0.2%d/16 dev eth0" % n, "addr add 10.2.0.2%d/24 dev eth0" % n,
           *("addr add %s/32 dev lo" % vip for vip in VIPS), "route add local %s dev lo" % MARKED,
           "neigh add 10.2.0.10 lladdr %s dev eth0" % mac("d"), *known,
           *("neigh add 10.1.1.%d lladdr %s dev eth0" % (k, mac("c")) for k in range(1, 65)),
           "rule add from 10.2.0.0/24 table 2", "route add default via 10.2.0.10 table 2")


def serve(n, ready):
    """A real server: says its number, and again for every word; closes on `quit` or when left."""
    setns("r%d" % n)
    own = b"%d\n" % n
    poll = select.poll()
    sockets = {}
    for port in [80] + list(range(8000, 8008)):
        s = socket.create_server(("0.0.0.0", port), backlog=256)
        sockets[s.fileno()] = s
        poll.register(s, select.POLLIN)
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    u.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
    u.bind(("0.0.0.0", 53))
    poll.register(u, select.POLLIN)
    ready.set()
    while True:
        for fd, _ in poll.poll():
            if fd == u.fileno():
                answer(u, own)
                continue
            s = sockets[fd]
            if s.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                c, _ = s.accept()
                sockets[c.fileno()] = c
                poll.register(c, select.POLLIN)
                c.sendall(own)
                continue
            try:
                word = s.recv(100)
            except OSError:
                word = b""
            if word in (b"", b"quit"):
                poll.unregister(s)
                del sockets[fd]
                s.close()
            else:
                s.sendall(own)


def answer(u, own):
    """From the address that was asked."""
    _, control, _, peer = u.recvmsg(100, 200)
    to = next(data[8:12] for level, kind, data in control if kind == IP_PKTINFO)
    u.sendmsg([own], [(socket.IPPROTO_IP, IP_PKTINFO, struct.pack("=I4s4s", 0, to, to))], 0, peer)


def end(address):
    host, port = address.rsplit(":", 1)
    return host, int(port)


def told(error):
    if isinstance(error, socket.timeout):
        return "T"
    if error.errno in (errno.ECONNREFUSED, errno.ECONNRESET, errno.EPIPE):
        return "R"
    raise error


class Player:
    def __init__(self):
        self.held = {}
        self.ends = {}
        # Connections that the server closed first: the client may use their ports again at once.
        self.free = set()

    def play(self, step):
        return getattr(self, "do_" + step["do"])(step)

    def director(self, *command):
        setns("d")
        done = subprocess.run(command, capture_output=True, text=True)
        setns("c")
        return done

    def do_set(self, step):
        self.director("sysctl", "-qw", "net.ipv4.vs.%s=%s" % (step["name"], step["value"])).check_returncode()

    def do_mark(self, step):
        self.director("iptables", "-t", "mangle", "-A", "PREROUTING", "-d", step["to"], "-p",
                      step["protocol"], "-j", "MARK", "--set-mark", str(step["mark"])).check_returncode()

    def do_ipvsadm(self, step):
        done = self.director("ipvsadm", *step["line"].split())
        if done.returncode:
            print("#", step["line"], done.stderr.strip(), flush=True)
        return done.returncode

    def do_connect(self, step):
        self.ends[step["id"]] = end(step["from"]), end(step["to"])
        return self.dial(step["id"])

    def do_again(self, step):
        """From the same port, when the old connection is wholly closed."""
        if step["id"] not in self.free:
            return None
        self.free.remove(step["id"])
        return self.dial(step["id"])

    def dial(self, id):
        source, target = self.ends[id]
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        s.settimeout(PATIENCE)
        try:
            s.bind(source)
            s.connect(target)
            got = int(s.recv(10))
        except OSError as error:
            s.close()
            return told(error)
        self.held[id] = s
        return got

    def do_say(self, step):
        return self.talk(step["id"], b"x")

    def do_quit(self, step):
        """The server closes first."""
        got = self.talk(step["id"], b"quit")
        if got == "C":
            self.free.add(step["id"])
        return got

    def do_close(self, step):
        return self.talk(step["id"], None)

    def talk(self, id, word):
        s = self.held.pop(id, None)
        if s is None:
            return None
        try:
            if word is None:
                s.shutdown(socket.SHUT_WR)
            else:
                s.sendall(word)
            got = s.recv(10)
        except OSError as error:
            s.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
            s.close()
            return told(error)
        if got:
            self.held[id] = s
            return int(got)
        s.close()
        time.sleep(0.02)
        return "C"

    def do_reset(self, step):
        """And on when its entry has gone, ten seconds later."""
        s = self.held.pop(step["id"], None)
        if s is None:
            return None
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        s.close()
        time.sleep(12)
        return "C"

    def do_datagram(self, step):
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        s.settimeout(PATIENCE)
        try:
            s.bind(end(step["from"]))
            s.sendto(b"x", end(step["to"]))
            return int(s.recv(10))
        except OSError as error:
            return told(error)
        finally:
            s.close()

    def do_counts(self, step):
        done = self.director("ipvsadm", "-Ln", *step["service"].split())
        if done.returncode:
            return None
        rows = (line.split() for line in done.stdout.splitlines() if line.startswith("  -> 10."))
        return {row[1]: [int(row[4]), int(row[5])] for row in rows}


def main(script, record):
    build()
    for n in SERVERS:
        ready = threading.Event()
        threading.Thread(target=serve, args=(n, ready), daemon=True).start()
        assert ready.wait(10)
    setns("c")
    player = Player()
    # A service that nobody asks for: with the last one IPVS would forget about connections, too.
    player.do_ipvsadm({"line": "-A -t 10.1.0.109:9 -s rr"})
    start = time.time()
    with open(script) as steps, open(record, "w") as out:
        for line in steps:
            step = json.loads(line)
            if "do" in step:
                got = player.play(step)
                if got is not None:
                    step["got"] = got
            else:
                step["kernel"] = os.uname().release
            out.write(json.dumps(step, separators=(",", ":")) + "\n")
    took = time.time() - start
    print("played %s in %.1f s" % (script, took), flush=True)
    # TIME_WAIT is two minutes: on a machine as slow as that, records would hang on its pace.
    assert took < 90, "too slow for a record: play it again"


main(*sys.argv[1:])
