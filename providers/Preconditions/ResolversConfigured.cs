using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Providers.Preconditions;

/// <summary>The host knows a DNS resolver.</summary>
internal sealed class ResolversConfigured : PreconditionCheck
{
    private static readonly FileRead Resolvers = new("/etc/resolv.conf");

    public override string Kind => "dns";

    public override string Description => "/etc/resolv.conf has a nameserver line.";

    public override Read Read(Precondition precondition) => Resolvers;

    public override Finding? Evaluate(Precondition precondition, Snapshot snapshot)
    {
        const string Remedy = "echo 'nameserver 1.1.1.1' >> /etc/resolv.conf, or what configures the host's network";
        if (snapshot.Get(Resolvers) is not { } file)
        {
            return new Finding("no DNS resolver is configured", "there is no /etc/resolv.conf", Remedy);
        }

        foreach (var line in file.Text.Split('\n'))
        {
            var words = line.Split([' ', '\t', '\r'], StringSplitOptions.RemoveEmptyEntries);
            if (words.Length >= 2 && words[0] == "nameserver")
            {
                return null;
            }
        }

        return new Finding("no DNS resolver is configured", "/etc/resolv.conf has no nameserver line", Remedy);
    }
}
