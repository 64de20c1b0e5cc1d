namespace KeyBuzz.Reconciler.Planning;

/// <summary>The planned action of a resource, in Terraform's words.</summary>
public enum ResourceAction
{
    /// <summary>Nothing: it is as wanted.</summary>
    NoOp,

    /// <summary>Make it.</summary>
    Create,

    /// <summary>Change it where it is.</summary>
    Update,

    /// <summary>Take it down and make it anew.</summary>
    Replace,

    /// <summary>Remove it.</summary>
    Delete,

    /// <summary>Record it as it is; the host does not change otherwise.</summary>
    Adopt,

    /// <summary>Drop its record; the host does not change otherwise.</summary>
    Forget,
}

/// <summary>How an action is written.</summary>
public static class ResourceActions
{
    /// <summary>The symbol before an address in a plan.</summary>
    public static string Symbol(this ResourceAction action) =>
        action switch
        {
            ResourceAction.Create => "+",
            ResourceAction.Update => "~",
            ResourceAction.Replace => "-/+",
            ResourceAction.Delete => "-",
            ResourceAction.Adopt => "=",
            ResourceAction.Forget => "#",
            _ => " ",
        };

    /// <summary>The word in JSON output.</summary>
    public static string Word(this ResourceAction action) =>
        action switch
        {
            ResourceAction.NoOp => "no-op",
            _ => action.ToString().ToLowerInvariant(),
        };

    /// <summary>Whether exit codes and the summary count it: adopting and forgetting only touch records.</summary>
    public static bool Counts(this ResourceAction action) =>
        action is ResourceAction.Create or ResourceAction.Update or ResourceAction.Replace or ResourceAction.Delete;
}

/// <summary>Why something differs.</summary>
public enum Cause
{
    /// <summary>It was never applied.</summary>
    New,

    /// <summary>cluster.yaml or a secret says something else than was applied.</summary>
    ConfigurationChanged,

    /// <summary>The host was changed since it was applied.</summary>
    Drift,

    /// <summary>Both of them.</summary>
    ConfigurationChangedAndDrift,

    /// <summary>It was removed from the configuration.</summary>
    Removed,

    /// <summary>The operator asked to destroy it.</summary>
    Destroyed,

    /// <summary>It is as wanted; only the record is missing or old.</summary>
    FoundAsWanted,

    /// <summary>The operator asked to take over what exists.</summary>
    Adopted,

    /// <summary>An earlier apply was interrupted while it made this.</summary>
    Interrupted,

    /// <summary>It is recorded, but no longer exists.</summary>
    AlreadyGone,

    /// <summary>It is as wanted, and is recorded under the name that it had before.</summary>
    Moved,

    /// <summary>The operator asked for its replacement.</summary>
    Requested,
}

/// <summary>How a cause is written.</summary>
public static class Causes
{
    /// <summary>The sentence a plan shows.</summary>
    public static string Sentence(this Cause cause) =>
        cause switch
        {
            Cause.New => "new",
            Cause.ConfigurationChanged => "configuration changed",
            Cause.Drift => "drift: changed on the host",
            Cause.ConfigurationChangedAndDrift => "configuration changed, and drift: changed on the host",
            Cause.Removed => "removed from the configuration",
            Cause.Destroyed => "destroy requested",
            Cause.FoundAsWanted => "exists as declared",
            Cause.Adopted => "adopted: exists and differs",
            Cause.Requested => "replacement requested on the command line",
            Cause.Moved => "moved: only its record changes",
            Cause.Interrupted => "an earlier apply was interrupted here",
            _ => "already gone",
        };

    /// <summary>The word in JSON output.</summary>
    public static string Word(this Cause cause) =>
        cause switch
        {
            Cause.ConfigurationChanged => "configuration_changed",
            Cause.ConfigurationChangedAndDrift => "configuration_changed_and_drift",
            Cause.FoundAsWanted => "found_as_wanted",
            Cause.AlreadyGone => "already_gone",
            _ => cause.ToString().ToLowerInvariant(),
        };
}
