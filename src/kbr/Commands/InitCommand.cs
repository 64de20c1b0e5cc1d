using System.Collections.Immutable;
using System.CommandLine;
using System.Text;
using KeyBuzz.Reconciler.Cli.Blueprints;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary><c>kbr init</c>: writes a first cluster file; with <c>--credentials</c> appends the secrets that are missing.</summary>
internal static class InitCommand
{
    /// <summary>The name of the JSON Schema beside a new cluster file.</summary>
    public const string SchemaFile = "cluster.schema.json";

    public static Command Create(ReadOnlyContext context, IReadOnlyCollection<IClusterInit> inits)
    {
        var credentials = new Option<bool>("--credentials")
        {
            Description = "Append missing secrets to the credentials file; existing lines are not changed.",
        };
        var from = new Option<string>("--from") { Description = "Take the hosts from this file: servers.tsv, or an Ansible inventory." };
        var offline = new Option<bool>("--offline") { Description = "Log in to no host; what only hosts know is left to be written." };
        var command = new Command(
            "init",
            "Write a first cluster file from an inventory, a list of hosts, or answers; or generate its secrets. Changes no host."
        )
        {
            credentials,
            from,
            offline,
        }
            .With(inits.SelectMany(init => init.Options))
            .With(context.Options.Hosts);
        command.SetAction(parsed => context.RunAsync(parsed, async (terminal, stop, _) =>
            {
                var file = parsed.Read(context.Options.File)!;
                var json = parsed.Read(context.Options.Json);
                var (inventory, isOffline) = (parsed.Read(from), parsed.Read(offline));
                if (parsed.Read(credentials))
                {
                    Generate(context, file, terminal, json);
                    return ExitCode.Done;
                }

                RefuseExisting(file);
                var request = new InitRequest(
                    context,
                    parsed,
                    Path.GetDirectoryName(Path.GetFullPath(file))!,
                    inventory,
                    isOffline,
                    json || Console.IsInputRedirected ? null : question => Ask(terminal, question, stop)
                );
                var made = await inits.First().MakeAsync(request, stop).ConfigureAwait(false);
                Write(file, made.Text);
                WriteSchema(request.Directory, context.Syntax);
                InitView.Show(terminal, json, file, made, Left(context, file));
                return ExitCode.Done;
            }));
        return command;
    }

    private static void Generate(CommandContext context, string file, Terminal terminal, bool json)
    {
        var needed = ClusterLoader.ReadCredentialsNeeded(file, context.Syntax);
        InitView.ShowCredentials(terminal, json, needed.Path, CredentialsFile.Initialize(needed));
    }

    private static string Ask(Terminal terminal, string question, CancellationToken stop)
    {
        terminal.Prompt(question + ": ");
        return (Approval.Answer(terminal, "init", stop) ?? "").Trim();
    }

    private static void RefuseExisting(string file)
    {
        if (Path.Exists(file))
        {
            throw new DiagnosticException(
                Diagnostic.Error(
                    $"{file} exists already, and init overwrites nothing",
                    remedy: "write to another file with -c FILE; for missing secrets: kbr init --credentials"
                )
            );
        }
    }

    // What editors check the file by; one that is there may be of another version, and is the operator's.
    private static void WriteSchema(string directory, ClusterSyntax syntax)
    {
        var file = Path.Combine(directory, SchemaFile);
        if (!Path.Exists(file))
        {
            Write(file, ClusterJsonSchema.Of(ClusterSchema.Of(syntax), indented: true) + "\n");
        }
    }

    // At once or not at all, and not over a file that came meanwhile.
    private static void Write(string file, string text)
    {
        var beside = $"{file}.{Guid.NewGuid():n}";
        try
        {
            File.WriteAllText(beside, text, new UTF8Encoding(encoderShouldEmitUTF8Identifier: false));
            File.Move(beside, file, overwrite: false);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            if (File.Exists(beside))
            {
                File.Delete(beside);
            }

            RefuseExisting(file);
            throw new DiagnosticException(Diagnostic.Error($"{file} cannot be written", detail: exception.Message));
        }
    }

    // As validate will find it once the secrets are there.
    private static ImmutableArray<Diagnostic> Left(CommandContext context, string file)
    {
        try
        {
            return [.. ClusterLoader.Load(file, context.Syntax, CommandContext.EnvironmentVariables(), secretsOptional: true).Warnings];
        }
        catch (DiagnosticException exception)
        {
            return [.. exception.Diagnostics];
        }
    }
}
