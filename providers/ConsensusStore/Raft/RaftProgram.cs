namespace KeyBuzz.Reconciler.Providers.ConsensusStore.Raft;

/// <summary>The Python program that answers a <see cref="RaftRead"/>, run by the Python that Patroni itself needs.</summary>
public static class RaftProgram
{
    /// <summary>What its first line says that begins with this: the namespace of the Patroni in the container, whatever store it
    /// uses.</summary>
    public const string NamespaceKey = "kbr_namespace";

    /// <summary>Its beginning: <c>utility</c> speaks to RAFT at <c>endpoint</c>; where Patroni uses another store it prints <c>null</c> and
    /// ends. The password stays in the container: it is read from the file that Patroni was started with.</summary>
    public const string Connect = $$"""
        import json, os, sys
        import yaml

        path = "/etc/patroni/patroni.yml"
        with open("/proc/1/cmdline", "rb") as cmdline:
            for word in cmdline.read().decode(errors="replace").split("\0"):
                if word.endswith((".yml", ".yaml")):
                    path = word
        with open(path) as file:
            settings = yaml.safe_load(file) or {}
        print(json.dumps({"{{NamespaceKey}}": str(os.environ.get("PATRONI_NAMESPACE") or settings.get("namespace", "service"))}), flush=True)
        raft = settings.get("raft")
        if not raft:
            print("null")
            sys.exit()
        from pysyncobj.utility import TcpUtility
        endpoint = str(raft.get("bind_addr") or raft["self_addr"])
        if endpoint.rsplit(":", 1)[0] in ("0.0.0.0", "::", "[::]"):
            endpoint = "127.0.0.1:" + endpoint.rsplit(":", 1)[1]
        password = raft.get("password")
        utility = TcpUtility(None if password is None else str(password), 5)
        """;

    /// <summary>The whole.</summary>
    public const string Text =
        Connect
        + """

            status = utility.executeCommand(endpoint, ["status"])
            if not status:
                sys.exit("RAFT does not answer at " + endpoint)
            status["kbr_password"] = password is not None
            print(json.dumps({str(key): value if isinstance(value, (bool, int)) else None if value is None else str(value) for key, value in status.items()}))
            """;
}
