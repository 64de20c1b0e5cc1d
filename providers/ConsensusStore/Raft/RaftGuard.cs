namespace KeyBuzz.Reconciler.Providers.ConsensusStore.Raft;

/// <summary>A Python module that fixes two faults of pysyncobj 0.3.14 inside Patroni, both seen on the lab when all members started
/// together.</summary>
/// <remarks>An assertion ends the thread that keeps RAFT going (PySyncObj issue 189, fixed upstream in pull request 194); Patroni would
/// continue without it, outside the quorum, until a restart. And the current term is not kept (issues 84 and 201, pull request 202): it is
/// 0 after every start, though RAFT's safety rests on it never going back.</remarks>
internal static class RaftGuard
{
    /// <summary>Where Python finds it in the container: it imports a module of this name before anything else.</summary>
    public const string FileName = "sitecustomize.py";

    /// <summary>The module.</summary>
    public const string Module = """
        # Written by kbr; a change by hand is drift. Python imports this before Patroni.
        import os
        import signal
        import sys
        import threading

        _report = threading.excepthook


        # When the thread that keeps RAFT going dies, Patroni would go on outside the quorum: it is stopped, and its unit starts it again.
        def _stop_when_raft_died(args):
            _report(args)
            trace = args.exc_traceback
            while trace is not None:
                if trace.tb_frame.f_code.co_name == "_autoTickThread":
                    # Should the orderly stop hang on the dead RAFT, it is ended all the same.
                    timer = threading.Timer(30, os._exit, (1,))
                    timer.daemon = True
                    timer.start()
                    os.kill(os.getpid(), signal.SIGTERM)
                    return
                trace = trace.tb_next


        threading.excepthook = _stop_when_raft_died


        # pysyncobj counts terms from 0 again whenever it starts. What members agree on that have all started anew would be of a lower term than the old entries, and a member that comes
        # late, with old ones only, would be elected and overwrite it. So a member begins with the term of the last entry it has.
        def _begin_with_the_last_term(kind):
            def after(name):
                original = getattr(kind, name, None)
                if original is None:
                    return

                def run(self, *args, **kwargs):
                    original(self, *args, **kwargs)
                    term, log = getattr(self, "_SyncObj__raftCurrentTerm", None), getattr(self, "_SyncObj__raftLog", None)
                    if term is not None and log:
                        self._SyncObj__raftCurrentTerm = max(term, log[-1][2])

                setattr(kind, name, run)

            after("__init__")
            after("_SyncObj__loadDumpFile")


        class _WhenImported:
            def find_spec(self, name, path=None, target=None):
                if name != "pysyncobj.syncobj":
                    return None
                import importlib.util

                sys.meta_path.remove(self)
                spec = importlib.util.find_spec(name)
                load = spec.loader.exec_module

                def exec_module(module):
                    load(module)
                    _begin_with_the_last_term(module.SyncObj)

                spec.loader.exec_module = exec_module
                return spec


        sys.meta_path.insert(0, _WhenImported())

        """;
}
