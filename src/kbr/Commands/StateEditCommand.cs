using System.Collections.Immutable;
using System.CommandLine;
using KeyBuzz.Reconciler.Applying;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary><c>kbr state rm</c> and <c>kbr state mv</c>: change records on the hosts, under their locks, and nothing else there.</summary>
internal static class StateEditCommand
{
    public static Command CreateRemove(SessionContext context)
    {
        var patterns = new Argument<string[]>("ADDRESS")
        {
            Description = "The resources (globs) whose records are removed.",
            Arity = ArgumentArity.OneOrMore,
        };
        var approve = new Option<bool>("--auto-approve") { Description = "Do not ask for confirmation." };
        var command = new Command("rm", "Remove records: the resources stay on the hosts unchanged, and kbr no longer manages them.")
        {
            patterns,
            approve,
        }.With([.. context.Options.Hosts, context.Options.LockTimeout]);
        command.SetAction(parsed =>
            context.RunAsync(parsed, (terminal, stop, _) =>
                EditAsync(
                    context,
                    parsed,
                    terminal,
                    "state rm",
                    parsed.Read(approve),
                    (_, found) =>
                        [
                            .. CommonOptions
                                .Patterns(parsed.Read(patterns))
                                .SelectMany(pattern => found.Matching(pattern))
                                .GroupBy(copy => copy.Record.Address)
                                .Select(copies => RecordEdit.Of([.. copies], null)),
                        ],
                    stop
                )
            )
        );
        return command;
    }

    public static Command CreateMove(SessionContext context)
    {
        var from = new Argument<string>("FROM") { Description = "The recorded address; '*@OLD' for all records of a renamed host." };
        var to = new Argument<string>("TO")
        {
            Description = "The new address: the same type, on the same host; '*@NEW' for a host's new name.",
        };
        var approve = new Option<bool>("--auto-approve") { Description = "Do not ask for confirmation." };
        var command = new Command("mv", "Rename a record: the resource stays on the host unchanged.") { from, to, approve }.With([
            .. context.Options.Hosts,
            context.Options.LockTimeout,
        ]);
        command.SetAction(parsed =>
            context.RunAsync(parsed, (terminal, stop, _) =>
                EditAsync(
                    context,
                    parsed,
                    terminal,
                    "state mv",
                    parsed.Read(approve),
                    (session, found) => Moves(session, found, parsed.Read(from)!, parsed.Read(to)!),
                    stop
                )
            )
        );
        return command;
    }

    private static Address AddressOf(string text) =>
        Address.TryParse(text, out var address) && address.CanBeDeclared
            ? address
            : throw new DiagnosticException(Diagnostic.Error($"'{text}' is not an address", remedy: "write type.name@host, without '/'"));

    private static ImmutableArray<RecordEdit> Moves(Session session, RecordsFound found, string from, string to) =>
        HostOf(from) is { } && HostOf(to) is { } host
            ?
            [
                .. found
                    .Matching(new AddressPattern(from))
                    .Select(copy => copy.Record.Address)
                    .Distinct()
                    .Order()
                    .Select(address => Move(session, found, address, address with { Host = host })),
            ]
            : [Move(session, found, AddressOf(from), AddressOf(to))];

    // Of '*@HOST', which stands for all that is on it.
    private static string? HostOf(string text) =>
        text.StartsWith("*@", StringComparison.Ordinal) && Address.IsPlace(text[2..]) ? text[2..] : null;

    private static RecordEdit Move(Session session, RecordsFound found, Address from, Address to)
    {
        // A renamed host has its records already, and no other host does. Records of an existing host are its own, even in a copy of its
        // disk.
        ImmutableArray<string> places =
        [
            .. found.Copies.Where(copy => copy.Record.Address == from).Select(copy => copy.Place).OfType<string>(),
        ];
        var isRenamed =
            places is [var only]
            && only == to.Host
            && session.Providers.Find(from.Type) is IHostResourceProvider
            && session.Cluster.Hosts.All(host => host.Name != from.Host);
        if (from.Type != to.Type || (from.Host != to.Host && !isRenamed) || from == to)
        {
            throw new DiagnosticException(
                Diagnostic.Error(
                    $"{from} cannot become {to}",
                    remedy: "the type and the host must stay the same: a record belongs to its host"
                )
            );
        }

        if (found.Copies.Any(copy => copy.Record.Address == to))
        {
            throw new DiagnosticException(
                Diagnostic.Error($"there is a record of {to} already", remedy: $"kbr state show '{to}' shows it")
            );
        }

        var edit = RecordEdit.Of(found.Matching(new AddressPattern(from.ToString())), null);
        var desired = session.Graph.Find(to) is { } node ? session.Providers.Get(to.Type).Desired(node.Resource) : Comparable.None;
        var requires = edit.Record.Requires.Select(required => required.Host == from.Host ? required with { Host = to.Host } : required);
        return edit with { Becomes = edit.Record.Rename(to, desired, session.Fingerprint) with { Requires = [.. requires] } };
    }

    private static async Task<int> EditAsync(
        SessionContext context,
        ParseResult parsed,
        Terminal terminal,
        string word,
        bool approved,
        Func<Session, RecordsFound, ImmutableArray<RecordEdit>> choose,
        CancellationToken stop
    )
    {
        var json = parsed.Read(context.Options.Json);
        await using var session = context.Open(parsed, terminal);
        var records = new RecordsSession(session.Cluster, session.Providers, session.Fleet);
        var edits = Choose(await records.ReadAsync(stop).ConfigureAwait(false));
        if (!json)
        {
            StateView.ShowEdits(terminal, edits);
        }

        if (!approved)
        {
            Approval.Ask(terminal, word, json, stop);
        }

        await RecordEditor
            .RunAsync(
                session.Cluster.Name,
                session.Fleet,
                edits,
                async () => Choose(await records.ReadAsync(stop).ConfigureAwait(false)),
                session.Holder(word),
                stop
            )
            .ConfigureAwait(false);
        records.Pull(await records.ReadAsync(stop).ConfigureAwait(false), without: edits.Select(edit => edit.Record.Address));
        if (json)
        {
            terminal.Line(StateView.EditDocument(session.Cluster.Name, edits));
        }
        else
        {
            terminal.Line(
                $"{edits.Length} {(edits.Length == 1 ? "record" : "records")} changed; nothing else changed on the hosts",
                Terminal.Tone.Bold
            );
        }

        return ExitCode.Done;

        // A record that only the operator's copy has can be changed there if its host left the cluster, and not if the host will return.
        ImmutableArray<RecordEdit> Choose(RecordsFound found)
        {
            var chosen = choose(session, found);
            return
                chosen.FirstOrDefault(edit =>
                    edit.Hosts.IsEmpty
                    && (edit.Becomes is not null || session.Cluster.Hosts.Any(host => host.Name == edit.Record.Address.Host))
                )
                    is { } lost
                ? throw new DiagnosticException([
                    Diagnostic.Error(
                        $"the record of {lost.Record.Address} is on a host that cannot be read; nothing was changed",
                        host: lost.Record.Address.Host,
                        address: lost.Record.Address.ToString()
                    ),
                    .. found.Diagnostics,
                ])
                : chosen;
        }
    }
}
