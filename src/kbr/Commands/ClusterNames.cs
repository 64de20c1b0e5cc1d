using System.Collections.Immutable;
using System.CommandLine.Completions;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary>The names of the cluster file that a shell completes: hosts and addresses. They are read from the file alone: no host is
/// reached, and a file that is broken or large has none.</summary>
internal sealed class ClusterNames(CommandContext context)
{
    // The shell waits for the answer at every Tab.
    private const int LargestFile = 256 * 1024;

    /// <summary>The addresses of the resources.</summary>
    public IEnumerable<string> Addresses(CompletionContext completion) =>
        Names(completion, cluster => cluster.Resources.Select(resource => resource.Address.ToString()));

    /// <summary>The hosts.</summary>
    public IEnumerable<string> Hosts(CompletionContext completion) => Names(completion, cluster => cluster.Hosts.Select(host => host.Name));

    private ImmutableArray<string> Names(CompletionContext completion, Func<Cluster, IEnumerable<string>> choose)
    {
        var file = completion.ParseResult.GetValue(context.Options.File) ?? CommonOptions.DefaultFile;
        try
        {
            // A pipe has no length, and would keep the shell waiting.
            if (new FileInfo(file) is not { Exists: true, Length: > 0 and <= LargestFile })
            {
                return [];
            }

            var cluster = ClusterLoader.Load(file, context.Syntax, ImmutableDictionary<string, string>.Empty, secretsOptional: true);
            return
            [
                .. choose(cluster)
                    .Where(name =>
                        name.StartsWith(completion.WordToComplete, StringComparison.Ordinal) && cluster.Secrets.Mask(name) == name
                    ),
            ];
        }
        catch (Exception exception)
            when (exception is DiagnosticException or IOException or UnauthorizedAccessException or ArgumentException)
        {
            return [];
        }
    }
}
