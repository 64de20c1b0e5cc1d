using System.Globalization;
using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.PostgresHa;

/// <summary>How a running Patroni is made to load its file, and how it is known that it has: a signal only asks for it, and Patroni gets to
/// it at the end of its loop.</summary>
internal static class PatroniReload
{
    /// <summary>The tag by which a file is known again in what its Patroni says of itself.</summary>
    public const string Tag = "kbr_file";

    // Runs in the container and reads its passwords from the file there, so that they are on no command line. Its three steps:
    // - The tags that Patroni shows are those of the file it has loaded.
    // - The REST API takes the file's password: a PATCH that removes an unknown key changes nothing, and wakes Patroni up.
    // - The password that the replica streams with is in its own pgpass, which Patroni does not write again while it streams: a
    //   walreceiver that connects again would be refused until Patroni's next loop.
    private const string Module = """
        import base64, json, os, re, sys, yaml
        from urllib import error, request
        own, tag, loaded = sys.argv[1:]
        with open(own) as file:
            config = yaml.safe_load(file)
        url = "http://" + config["restapi"]["connect_address"]
        try:
            said = json.load(request.urlopen(url + "/patroni", timeout=5))
        except error.HTTPError as other:
            said = json.load(other)
        except (OSError, ValueError) as other:
            late = isinstance(getattr(other, "reason", other), TimeoutError)
            sys.exit("Patroni's REST API does not answer in time" if late else 0)
        if said.get("tags", {}).get(tag) != loaded:
            sys.exit("Patroni still uses the previous file")
        rest = config["restapi"]["authentication"]
        basic = base64.b64encode((rest["username"] + ":" + rest["password"]).encode()).decode()
        try:
            request.urlopen(request.Request(url + "/config", data=b'{"kbr_nothing": null}', method="PATCH", headers={"Authorization": "Basic " + basic}), timeout=5)
        except error.HTTPError as other:
            if other.code in (401, 403):
                sys.exit("Patroni's REST API does not accept the password of its file")
        except OSError:
            sys.exit("Patroni's REST API does not answer in time")
        path = config["postgresql"]["pgpass"]
        replication = config["postgresql"]["authentication"]["replication"]
        user, password = (re.sub(r"([:\\])", r"\\\1", replication[key]) for key in ("username", "password"))
        if os.path.exists(path):
            with open(path) as file:
                lines = file.read().splitlines()
            wanted = [re.sub(r"^((?:[^:\\]|\\.)*:(?:[^:\\]|\\.)*:(?:[^:\\]|\\.)*:)" + re.escape(user) + ":.*$", lambda line: line.group(1) + user + ":" + password, line) for line in lines]
            if wanted != lines:
                os.umask(0o077)
                with open(path + ".kbr", "w") as file:
                    file.write("".join(line + "\n" for line in wanted))
                os.replace(path + ".kbr", path)

        """;

    /// <summary>Asks for it, on the host.</summary>
    public static string Command { get; } = $"docker kill --signal HUP {PostgresTopology.PatroniContainer}";

    /// <summary>Succeeds once it is done, or where Patroni does not answer at all; on the host.</summary>
    public static string Confirm(string file, string loaded) =>
        string.Create(
            CultureInfo.InvariantCulture,
            $"docker exec {PostgresTopology.PatroniContainer} python3 -c {Script.Quote(Module)} {file} {Tag} {loaded}"
        );

    /// <summary>How long it may take: the loop under way, which waits for the store at most, and the next one.</summary>
    public static long Timeout(PostgresTopology topology) => 60 + (3 * (topology.Times.LoopWait + topology.Times.RetryTimeout));
}
