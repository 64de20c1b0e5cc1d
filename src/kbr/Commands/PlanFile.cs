using KeyBuzz.Reconciler.Applying;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Records;

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary>The file of a saved plan.</summary>
internal sealed class PlanFile
{
    private readonly string _path;
    private readonly Cluster _cluster;
    private readonly byte[]? _key;

    /// <summary>Takes the file, which need not be there, and the cluster it is for. Throws <see cref="DiagnosticException"/> when something
    /// else is there, so that nothing else is ever replaced.</summary>
    public PlanFile(string path, Cluster cluster)
    {
        _path = path;
        _cluster = cluster;
        _key = cluster.Secrets.Find(Secrets.KeyName) is { } secret ? SavedPlan.KeyOf(secret) : null;
        if (Directory.Exists(path) || (File.Exists(path) && !SavedPlan.IsOne(Content().Span)))
        {
            throw new DiagnosticException(
                Diagnostic.Error(
                    $"{path} is not a saved plan, or is truncated",
                    remedy: "choose another file; kbr plan --out overwrites saved plans only"
                )
            );
        }
    }

    /// <summary>Whether the file's origin can be told here.</summary>
    public bool IsAuthenticated => _key is not null;

    /// <summary>Saves the plan, readable by its owner only. One with errors is not saved, and no older one is left in
    /// its place.</summary>
    public void Save(Session session, PlanOptions options, PlannedRun run, Terminal terminal)
    {
        var plan = run.Plan;
        if (plan.HasErrors)
        {
            File.Delete(_path);
            terminal.ErrorLine(
                $"The plan has errors and was not saved to {_path}. Correct them, or exclude those resources with --target.",
                Terminal.Tone.Removed
            );
            return;
        }

        using var shown = new StringWriter { NewLine = "\n" };
        var sheet = new Terminal(shown, shown, color: false);
        sheet.MaskWith(_cluster.Secrets.Mask);
        PlanView.Show(sheet, plan, Path.GetFileName(_cluster.File));
        DiagnosticView.Show(sheet, plan.Diagnostics);
        var document = _cluster.Secrets.Mask(JsonView.PlanDocument(_cluster.Name, plan, plan.Diagnostics));
        var saved = new SavedPlan(
            _cluster.Name,
            VersionCommand.Version,
            session.Time.GetUtcNow(),
            options,
            plan.HasChanges,
            session.BasisOf(run, _key!),
            document,
            [.. shown.ToString().TrimEnd('\n').Split('\n')]
        );
        LocalFile.Replace(_path, stream => stream.Write(saved.Write(_key!)), UnixFileMode.UserRead | UnixFileMode.UserWrite);
        terminal.ErrorLine(
            $"Saved to {_path}. To do exactly this: {CopyableCommand.Of(_cluster.File, "apply", _path)}",
            Terminal.Tone.Faint
        );
    }

    /// <summary>Reads the file to show it. Throws <see cref="DiagnosticException"/> when it cannot be used.</summary>
    public SavedPlan Read() =>
        File.Exists(_path)
            ? SavedPlan.Read(Content(), _path, _cluster.Name, _key)
            : throw new DiagnosticException(Diagnostic.Error($"{_path} does not exist", remedy: "create one with kbr plan --out FILE"));

    /// <summary>Reads the file to apply it. Throws <see cref="DiagnosticException"/> when it cannot be used, was made by another kbr, or
    /// deletes data and that is not confirmed by the cluster's name.</summary>
    public SavedPlan Read(string? confirmation)
    {
        var saved = Read();
        if (saved.Version != VersionCommand.Version)
        {
            throw new DiagnosticException(
                Diagnostic.Error(
                    $"{_path} was created by kbr {saved.Version}, and this is {VersionCommand.Version}; the two may plan differently",
                    remedy: "plan again with this version"
                )
            );
        }

        return saved.Options.DeleteData && confirmation != _cluster.Name
            ? throw new DiagnosticException(
                Diagnostic.Error(
                    $"{_path} deletes data permanently; confirmation is missing",
                    remedy: $"to confirm deletion in cluster '{_cluster.Name}', repeat with --confirm {_cluster.Name}"
                )
            )
            : saved;
    }

    /// <summary>Makes sure that what a plan is made from now is what the saved one was made from. Throws <see cref="DiagnosticException"/>
    /// naming all that is not.</summary>
    public void Check(SavedPlan saved, Session session, PlannedRun run)
    {
        // A plan with errors is not all there; it was none when it was saved.
        var changes = run.Plan.HasErrors
            ? [.. run.Plan.Diagnostics.Where(diagnostic => diagnostic.Severity == Severity.Error)]
            : saved.Basis.Changes(session.BasisOf(run, _key!), address =>
                session.Graph.Find(address)?.Resource.Location
                ?? session.Cluster.Policies.FirstOrDefault(policy => policy.Address == address)?.Location
            );
        if (!changes.IsEmpty)
        {
            throw new DiagnosticException([
                Diagnostic.Error(
                    $"The plan in {_path} is out of date; nothing was changed",
                    detail: $"Changed since it was saved at {saved.PlannedAt:yyyy-MM-dd HH:mm:ss} UTC:",
                    remedy: "run kbr plan --out again, review the plan, and apply it"
                ),
                .. changes,
            ]);
        }
    }

    /// <summary>Throws <see cref="DiagnosticException"/> when something is asked that a saved plan has already settled.</summary>
    public static void RefuseOptions(params ReadOnlySpan<string[]?> given)
    {
        if (given.ToArray().Any(values => values is { Length: > 0 }))
        {
            throw new DiagnosticException(
                Diagnostic.Error("a saved plan is applied unchanged; give --target, --adopt and --replace to kbr plan --out")
            );
        }
    }

    private ReadOnlyMemory<byte> Content()
    {
        try
        {
            return File.ReadAllBytes(_path);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new DiagnosticException(Diagnostic.Error($"{_path} cannot be read", detail: exception.Message));
        }
    }
}
