namespace KeyBuzz.Reconciler.PostgresHa;

/// <summary>A Python module that ends Patroni when the thread that keeps RAFT going has died, so that its unit starts it again. pysyncobj lets that thread die of an
/// assertion when members start together (PySyncObj issue 189, mended upstream in pull request 194; issue 201 is about the same moment); Patroni would go on without it,
/// outside the quorum, until somebody restarts it, and two such members are a cluster without a leader. Seen on the lab with pysyncobj 0.3.14.</summary>
internal static class RaftGuard
{
    /// <summary>Where Python finds it in the container: it imports a module of this name before anything else.</summary>
    public const string FileName = "sitecustomize.py";

    /// <summary>The module.</summary>
    public const string Module = """
        # Written by kbr; a change by hand is drift. Python imports this before Patroni.
        # When the thread that keeps RAFT going dies, Patroni would go on outside the quorum: it is stopped, and its unit starts it again.
        import os
        import signal
        import threading

        _report = threading.excepthook


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

        """;
}
