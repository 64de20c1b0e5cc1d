# Three members of RAFT, as Patroni has them, all stop and start anew. Two of them agree on something before the third is there, which is then quicker to ask for votes than they are to
# speak to it. Prints what each of them holds once the third goes on as usual.
import os
import tempfile
import time

from pysyncobj import SyncObj, SyncObjConf
from pysyncobj.batteries import ReplDict

FOLDER = tempfile.mkdtemp()
ADDRESSES = ["127.0.0.1:7101", "127.0.0.1:7102", "127.0.0.1:7103"]


class Member:
    def __init__(self, number, **settings):
        self.values = ReplDict()
        others = ADDRESSES[:number] + ADDRESSES[number + 1:]
        files = {"journalFile": f"{FOLDER}/{number}.journal", "fullDumpFile": f"{FOLDER}/{number}.dump"}
        self.raft = SyncObj(ADDRESSES[number], others, consumers=[self.values], conf=SyncObjConf(**files, **settings))

    def leads(self):
        status = self.raft.getStatus()
        return status["leader"] == status["self"]

    def set(self, key):
        self.values.set(key, "agreed", sync=True, timeout=20)

    def stop(self):
        self.raft.destroy()
        time.sleep(0.5)


def until(condition, what):
    end = time.monotonic() + 30
    while not condition():
        if time.monotonic() > end:
            print("gave up waiting for", what, flush=True)
            os._exit(1)
        time.sleep(0.02)


def ready(members):
    until(lambda: all(member.raft.isReady() for member in members), "a leader")


members = [Member(number) for number in range(3)]
ready(members)
for count in range(3):
    # Another leader every time: the term of what is agreed on grows.
    leader = next(number for number, member in enumerate(members) if member.leads())
    members[leader].stop()
    until(lambda: any(member.leads() for member in members if member is not members[leader]), "another leader")
    members[leader] = Member(leader)
    ready(members)
    members[leader].set(f"before {count}")
for member in members:
    member.stop()

slow = {"appendEntriesPeriod": 0.4, "raftMinTimeout": 1.5, "raftMaxTimeout": 2.5}
first, second = Member(0, **slow), Member(2, **slow)
ready([first, second])
first.set("meanwhile")
until(lambda: second.values.get("meanwhile") == "agreed", "both to have it")

hasty = Member(1, appendEntriesPeriod=0.005, raftMinTimeout=0.02, raftMaxTimeout=0.03)
time.sleep(2)
hasty.stop()
third = Member(1)
ready([first, second, third])
third.set("afterwards")
until(lambda: all(member.values.get("afterwards") == "agreed" for member in (first, second)), "everybody to go on")
print([sorted(member.values.keys()) for member in (first, second, third)], flush=True)
os._exit(0)
