using System.CommandLine;
using System.Text;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary><c>kbr fmt</c>: the canonical layout of a cluster file. Reads nothing but the file.</summary>
internal static class FmtCommand
{
    // As terraform fmt -check.
    private const int NotFormatted = 3;

    public static Command Create(CommandContext context)
    {
        var file = new Argument<string>("FILE") { Description = "The cluster file.", DefaultValueFactory = _ => CommonOptions.DefaultFile };
        var check = new Option<bool>("--check") { Description = "Change nothing; exit 3 when the file is not formatted." };
        var diff = new Option<bool>("--diff") { Description = "Show what changes." };
        var command = new Command(
            "fmt",
            "Format the cluster file: indentation, empty lines, spaces at line ends. Comments, order and meaning stay."
        )
        {
            file,
            check,
            diff,
        }.With(context.Options.Shown);
        command.SetAction(parsed => context.RunAsync(parsed, (terminal, _, _) =>
            {
                var path = parsed.Read(file)!;
                var onlyCheck = parsed.Read(check);
                var source = SourceText.Read(path, path, largest: SourceText.LargestCluster);
                var formatted = YamlFormat.Format(source);
                var isFormatted = formatted == source.Text;
                IReadOnlyList<string> lines =
                    parsed.Read(diff) && !isFormatted
                        ? TextDifference.Lines(AttributeValue.OfText(source.Text), AttributeValue.OfText(formatted))
                        : [];
                if (!isFormatted && !onlyCheck)
                {
                    LocalFile.Replace(path, stream => stream.Write(Encoding.UTF8.GetBytes(formatted)));
                }

                if (parsed.Read(context.Options.Json))
                {
                    terminal.Line(Document(path, isFormatted, written: !isFormatted && !onlyCheck, lines));
                }
                else if (!isFormatted)
                {
                    terminal.Line(path);
                    foreach (var line in lines)
                    {
                        terminal.Line(line, PlanView.ToneOf(line));
                    }
                }

                return Task.FromResult(onlyCheck && !isFormatted ? NotFormatted : ExitCode.Done);
            }));
        return command;
    }

    private static string Document(string file, bool isFormatted, bool written, IReadOnlyList<string> diff) =>
        JsonView.Document("fmt", json =>
        {
            json.WriteString("file", file);
            json.WriteBoolean("formatted", isFormatted);
            json.WriteBoolean("written", written);
            json.WriteStartArray("diff");
            foreach (var line in diff)
            {
                json.WriteStringValue(line);
            }

            json.WriteEndArray();
        });
}
