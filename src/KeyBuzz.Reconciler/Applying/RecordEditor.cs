using System.Collections.Immutable;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;
using KeyBuzz.Reconciler.Surveying;

namespace KeyBuzz.Reconciler.Applying;

/// <summary>A change of a record, and of nothing else.</summary>
/// <param name="Record">The record as it is.</param>
/// <param name="Becomes">The record under its new address; null when it is removed.</param>
/// <param name="Hosts">The hosts that have a copy of it; none where only the operator's copy has it.</param>
public sealed record RecordEdit(ResourceRecord Record, ResourceRecord? Becomes, ImmutableArray<string> Hosts)
{
    /// <summary>A change of all copies of a record.</summary>
    public static RecordEdit Of(IReadOnlyCollection<RecordCopy> copies, ResourceRecord? becomes) =>
        new(
            copies.MaxBy(copy => copy.Record.Serial)!.Record,
            becomes,
            [.. copies.Select(copy => copy.Place).OfType<string>().Order(StringComparer.Ordinal)]
        );
}

/// <summary>Changes records on the hosts, under their locks.</summary>
public static class RecordEditor
{
    /// <summary>Takes the locks, checks that the records did not change, and edits them. Throws <see cref="HostLockedException"/> while an
    /// apply runs, <see cref="DiagnosticException"/> when the records were changed meanwhile or cannot be written.</summary>
    /// <param name="cluster">The cluster.</param>
    /// <param name="fleet">The connections of this run; the records were read through it.</param>
    /// <param name="edits">What the operator saw.</param>
    /// <param name="choose">Reads and chooses again.</param>
    /// <param name="holder">The holder of the locks.</param>
    /// <param name="cancellationToken">Ends the wait for locks.</param>
    public static async Task RunAsync(
        string cluster,
        Fleet fleet,
        ImmutableArray<RecordEdit> edits,
        Func<Task<ImmutableArray<RecordEdit>>> choose,
        LockHolder holder,
        CancellationToken cancellationToken
    )
    {
        ArgumentNullException.ThrowIfNull(fleet);
        ArgumentNullException.ThrowIfNull(choose);
        var writers = new SortedDictionary<string, IHostWriter>(StringComparer.Ordinal);
        try
        {
            // In the order of an apply, so that the two cannot wait for each other.
            foreach (var host in edits.SelectMany(edit => edit.Hosts).Distinct().Order(StringComparer.Ordinal))
            {
                writers[host] = await fleet.OpenWriterAsync(host, holder, parallelism: 1, cancellationToken).ConfigureAwait(false);
            }

            var now = await choose().ConfigureAwait(false);
            if (!now.Select(Essence).SequenceEqual(edits.Select(Essence)))
            {
                throw new DiagnosticException(
                    Diagnostic.Error("the records changed while the locks were taken; nothing was changed", remedy: "run it again")
                );
            }

            foreach (var (host, writer) in writers)
            {
                // The new one first: cut off between the two, both are there, and neither the thing nor what is known of it is lost.
                var text = string.Concat(
                    now.Where(edit => edit.Hosts.Contains(host))
                        .Select(edit =>
                            (edit.Becomes is null ? "" : RecordScript.Write(edit.Becomes, cluster))
                            + RecordScript.Remove(edit.Record.Address, cluster)
                        )
                );
                var result = await writer.RunAsync(new Script(text), CancellationToken.None).ConfigureAwait(false);
                if (result.ExitCode != 0)
                {
                    throw new DiagnosticException(
                        Diagnostic.Error($"{host}: the records cannot be written", detail: result.Error.Trim(), host: host)
                    );
                }
            }
        }
        finally
        {
            foreach (var writer in writers.Values)
            {
                await writer.DisposeAsync().ConfigureAwait(false);
            }
        }
    }

    private static string Essence(RecordEdit edit) =>
        $"{RecordJson.Write(edit.Record, "")}\n{(edit.Becomes is null ? "" : RecordJson.Write(edit.Becomes, ""))}\n{string.Join(' ', edit.Hosts)}";
}
