using System.Collections.Immutable;
using System.CommandLine;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Records;

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary><c>kbr drift</c>: shows the changes on the hosts since the last apply; an edit of cluster.yaml is not drift. Changes nothing,
/// and needs no secrets.</summary>
internal static class DriftCommand
{
    private const string Text = "text";
    private const string Json = "json";

    private static readonly ImmutableSortedDictionary<string, Func<DriftReport, string>> s_formats = new Dictionary<
        string,
        Func<DriftReport, string>
    >
    {
        [Text] = DriftView.Text,
        [Json] = DriftView.Document,
        ["junit"] = DriftJUnit.Render,
        ["markdown"] = DriftMarkdown.Render,
        ["prometheus"] = DriftMetrics.Render,
        ["sarif"] = DriftSarif.Render,
    }.ToImmutableSortedDictionary(StringComparer.Ordinal);

    public static Command Create(ReadOnlyContext context)
    {
        var ignore = new Option<string[]>("--ignore")
        {
            Description = "Show, but do not count, drift of these addresses (globs), or of one attribute of them: ADDRESS[:attribute].",
        };
        var format = new Option<string>("--format") { Description = $"The format of the report: {string.Join(", ", s_formats.Keys)}." };
        var output = new Option<string>("--out")
        {
            Description = "Write the report of --format to this file atomically, and show the text here.",
        };
        format.AcceptOnlyFromAmong([.. s_formats.Keys]);
        var command = new Command(
            "drift",
            "Show drift: changes on the hosts since the last apply. Changes nothing. Exit 0 no drift, 2 drift, 1 incomplete."
        )
        {
            ignore,
            format,
            output,
        }.With(context.Options.Targeted);
        command.Validators.Add(result =>
        {
            if (result.GetValue(output) is not null && result.GetValue(format) is null)
            {
                result.AddError("--out needs --format");
            }
            else if (
                result.GetValue(context.Options.Json)
                && result.GetValue(format) is { } other
                && other != Json
                && result.GetValue(output) is null
            )
            {
                result.AddError($"--json and --format {other} both go to the standard output; write one of them to a file with --out");
            }
        });
        command.SetAction(parsed => context.RunAsync(parsed, async (terminal, stop, _) =>
            {
                var file = parsed.Read(output);
                var written = parsed.Read(format) ?? (parsed.Read(context.Options.Json) ? Json : Text);
                var shown =
                    file is null ? written
                    : parsed.Read(context.Options.Json) ? Json
                    : Text;
                var rules = Rules(parsed.Read(ignore));
                DriftReport report;
                try
                {
                    report = await FindAsync(context, parsed, terminal, rules, stop).ConfigureAwait(false);
                }
                catch (DiagnosticException exception) when (file is not null || shown is not (Text or Json))
                {
                    // The report must show the failure, and not an earlier result.
                    report = DriftReport.Failed(parsed.Read(context.Options.File)!, exception.Diagnostics, context.Time.GetUtcNow());
                }

                if (file is not null)
                {
                    var text = s_formats[written](report);
                    LocalFile.Replace(file, stream => stream.Write(System.Text.Encoding.UTF8.GetBytes(text)));
                }

                Show(terminal, report, shown);
                return report.ExitCode;
            }));
        return command;
    }

    private static async Task<DriftReport> FindAsync(
        ReadOnlyContext context,
        ParseResult parsed,
        Terminal terminal,
        ImmutableArray<IgnoreRule> rules,
        CancellationToken cancellationToken
    )
    {
        var cluster = context.Load(parsed, terminal, secretsOptional: true);
        await using var session = context.Open(parsed, cluster);
        var drift = await session
            .FindAsync(CommonOptions.Patterns(parsed.Read(context.Options.Target)), rules, cancellationToken)
            .ConfigureAwait(false);
        if (parsed.Read(context.Options.Verbose))
        {
            session.ShowCost(terminal);
        }

        return DriftReport.Of(drift, cluster.Name, cluster.File, context.Time.GetUtcNow(), cluster.Secrets.Mask);
    }

    private static void Show(Terminal terminal, DriftReport report, string format)
    {
        if (format == Text)
        {
            DriftView.Show(terminal, report);
        }
        else
        {
            terminal.Line(s_formats[format](report).TrimEnd('\n'));
        }

        if (format != Json)
        {
            DiagnosticView.Show(terminal, report.Diagnostics);
        }
    }

    private static ImmutableArray<IgnoreRule> Rules(string[]? texts) =>
        [
            .. (texts ?? []).Select(text =>
                IgnoreRule.TryParse(text, "--ignore", out var rule)
                    ? rule
                    : throw new DiagnosticException(
                        Diagnostic.Error(
                            $"--ignore '{text}' is not an address",
                            remedy: "write type.name@host, or type.name@host:attribute; `*` matches anything"
                        )
                    )
            ),
        ];
}
