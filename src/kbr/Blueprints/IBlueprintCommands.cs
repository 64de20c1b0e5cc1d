using System.CommandLine;
using KeyBuzz.Reconciler.Cli.Commands;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Cli.Blueprints;

/// <summary>The commands of a blueprint, beside the resources of its <see cref="IBlueprint"/>. A blueprint is a folder with
/// both; the composition root (<see cref="KbrCommandLine.Services"/>) registers them, and no command names it.</summary>
internal interface IBlueprintCommands
{
    /// <summary>The checklists that <c>kbr status</c> shows and an apply is judged by; none when cluster.yaml has no section of the
    /// blueprint.</summary>
    IEnumerable<IHealthCheck> HealthChecks(Cluster cluster);

    /// <summary>Its own commands, each with its description, options and action, in the order of the help.</summary>
    IEnumerable<Command> Commands(SessionContext context);

    /// <summary>Its own checks, below <c>kbr check</c>.</summary>
    IEnumerable<Command> Checks(SessionContext context) => [];

    /// <summary>Writes a first cluster file with the blueprint's section, for <c>kbr init</c>; null for none.</summary>
    IClusterInit? Init => null;

    /// <summary>The connections that its section needs: firewalls must let them through.</summary>
    IEnumerable<Traffic> Traffic(Cluster cluster) => [];

    /// <summary>The lines that <c>kbr validate</c> adds for a person.</summary>
    IEnumerable<string> Facts(Cluster cluster) => [];
}
