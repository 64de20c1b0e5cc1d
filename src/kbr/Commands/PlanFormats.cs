using System.Collections.Immutable;
using System.CommandLine;
using System.Globalization;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Planning;

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary>The formats of a plan, for <c>kbr plan</c> and <c>kbr show</c>.</summary>
internal static class PlanFormats
{
    /// <summary>For a terminal.</summary>
    public const string Text = "text";

    /// <summary>The same as <c>--json</c>.</summary>
    public const string Json = "json";

    private static readonly ImmutableSortedDictionary<string, Func<PlanReport, string>> s_documents = new Dictionary<
        string,
        Func<PlanReport, string>
    >
    {
        ["html"] = PlanHtml.Render,
        ["markdown"] = PlanMarkdown.Render,
    }.ToImmutableSortedDictionary(StringComparer.Ordinal);

    /// <summary>The option.</summary>
    public static Option<string> Option()
    {
        string[] names = [Text, Json, .. s_documents.Keys];
        var option = new Option<string>("--format")
        {
            Description = $"The format: {string.Join(", ", names.Order(StringComparer.Ordinal))}; html is one page that needs no network.",
        };
        option.AcceptOnlyFromAmong(names);
        return option;
    }

    /// <summary>Refuses two formats for one output.</summary>
    public static void RefuseTwo(Command command, Option<string> format, Option<bool> json) =>
        command.Validators.Add(result =>
        {
            if (result.GetValue(json) && result.GetValue(format) is { } other && other != Json)
            {
                result.AddError($"--json and --format {other} both go to the standard output; give one of them");
            }
        });

    /// <summary>The chosen format.</summary>
    public static string Chosen(ParseResult parsed, Option<string> format, Option<bool> json) =>
        (parsed.Read(format), parsed.Read(json)) switch
        {
            (_, true) => Json,
            ({ } word, _) => word,
            _ => Text,
        };

    /// <summary>Whether the format is a document of its own, neither text nor JSON.</summary>
    public static bool IsDocument(string format) => s_documents.ContainsKey(format);

    /// <summary>Writes a plan in a format for which <see cref="IsDocument"/> is true.</summary>
    public static void Show(Terminal terminal, string format, PlanReport plan) => terminal.Line(s_documents[format](plan).TrimEnd('\n'));

    /// <summary>When a plan was made, with what, and what was asked.</summary>
    public static string Origin(DateTimeOffset at, string version, PlanOptions options) =>
        string.Create(
            CultureInfo.InvariantCulture,
            $"planned at {at.UtcDateTime:yyyy-MM-dd HH:mm:ss} UTC by kbr {version}{SavedPlanView.Asked(options)}"
        );
}
