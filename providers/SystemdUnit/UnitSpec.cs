using System.Collections.Immutable;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.SystemdUnit;

/// <summary>A unit as declared.</summary>
/// <param name="Name">Its name with its suffix.</param>
/// <param name="Content">The unit file; null if only the state of an existing unit is managed.</param>
/// <param name="Enabled">Whether it starts at boot.</param>
/// <param name="Active">Whether it runs.</param>
/// <param name="Container">The container it supervises, or null.</param>
/// <param name="DropIns">The allowed drop-ins.</param>
internal sealed record UnitSpec(
    string Name,
    SecretText? Content,
    bool Enabled,
    bool Active,
    string? Container,
    ImmutableArray<string> DropIns
)
{
    public static UnitSpec Of(Resource resource)
    {
        var spec = resource.Spec;
        return new UnitSpec(
            spec.OptionalString("unit") ?? resource.Address.Name + ".service",
            spec.Text("content"),
            spec.Boolean("enabled"),
            spec.Boolean("active"),
            spec.OptionalString("container"),
            [.. spec.List("drop_ins")]
        );
    }

    /// <summary>The file that systemd must run it from.</summary>
    public UnitDefinition Definition => new(Name, DropIns);

    /// <summary>Its own file.</summary>
    public string Path => Definition.Path;
}
