using KeyBuzz.Reconciler.Providers.Processes;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.ConfigFile;

/// <summary>A file as declared.</summary>
/// <param name="Path">Its path.</param>
/// <param name="Content">Its content.</param>
/// <param name="Owner">A name or a number.</param>
/// <param name="Group">A name or a number.</param>
/// <param name="Mode">Four octal digits.</param>
/// <param name="Validate">The command that must accept a new content, or null.</param>
/// <param name="LoadedBy">The process that loads it, or null.</param>
/// <param name="Reload">The command that makes the process load it; null without a process.</param>
/// <param name="ReloadConfirm">The command that checks that the process has loaded it, or null.</param>
/// <param name="ConfirmInput">The standard input of that command.</param>
/// <param name="ConfirmTimeout">Seconds during which that command is retried.</param>
internal sealed record ConfigFileSpec(
    string Path,
    SecretText Content,
    string Owner,
    string Group,
    string Mode,
    string? Validate,
    ProcessReference? LoadedBy,
    string? Reload,
    string? ReloadConfirm,
    SecretText ConfirmInput,
    long ConfirmTimeout
)
{
    public const string DefaultPrincipal = "root";
    public const string DefaultMode = "0644";
    public const long DefaultConfirmTimeout = 30;

    private static readonly SecretText s_nothing = SecretText.Plain("");

    public string Principal => $"{Owner}:{Group}";

    public static ConfigFileSpec Of(Resource resource)
    {
        var spec = resource.Spec;
        return new ConfigFileSpec(
            spec.String("path"),
            spec.Text("content") ?? s_nothing,
            spec.OptionalString("owner") ?? DefaultPrincipal,
            spec.OptionalString("group") ?? DefaultPrincipal,
            spec.OptionalString("mode") ?? DefaultMode,
            spec.OptionalString("validate"),
            ProcessReference.TryParse(spec.OptionalString("loaded_by"), out var process) ? process : null,
            spec.OptionalString("reload"),
            spec.OptionalString("reload_confirm"),
            spec.Text("confirm_input") ?? s_nothing,
            spec.Integer("confirm_timeout") ?? DefaultConfirmTimeout
        );
    }
}
