using System.Diagnostics.CodeAnalysis;
using System.Text.Json;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.Processes;

/// <summary>A process that loads a file: <c>container:NAME</c> or <c>unit:NAME.service</c>.</summary>
/// <param name="IsContainer">Whether it is a container; else a systemd unit.</param>
/// <param name="Name">Its name.</param>
public sealed record ProcessReference(bool IsContainer, string Name)
{
    /// <summary>Reads <c>container:NAME</c> or <c>unit:NAME</c>.</summary>
    public static bool TryParse(string? text, [NotNullWhen(true)] out ProcessReference? reference)
    {
        reference = text?.Split(':', 2) switch
        {
            ["container", { Length: > 0 } name] => new ProcessReference(true, name),
            ["unit", { Length: > 0 } name] when name.Contains('.', StringComparison.Ordinal) => new ProcessReference(false, name),
            _ => null,
        };
        return reference is not null;
    }

    /// <summary>The read that tells whether it runs.</summary>
    public Read Read => IsContainer ? new ContainerRead(Name) : new UnitRead(Name);

    /// <summary>The instance that runs, or null when none does. False when that cannot be told, with the reason.</summary>
    public bool TryFind(Snapshot snapshot, out ProcessInstance? instance, [NotNullWhen(false)] out string? reason)
    {
        reason = null;
        if (!IsContainer)
        {
            var unit = snapshot.Get(new UnitRead(Name));
            instance = OfUnit(unit);
            if (unit.Properties.Count == 0)
            {
                reason = "systemd does not answer on this host";
            }

            return reason is null;
        }

        var answer = snapshot.Get(new ContainerRead(Name));
        instance = answer.Status == 200 ? OfContainer(answer.Json) : null;
        if (answer.Status == 0)
        {
            reason = "Docker Engine does not answer on this host";
        }

        return reason is null;
    }

    /// <summary>The instance of a unit that is active, or null.</summary>
    public static ProcessInstance? OfUnit(UnitState unit) =>
        unit["ActiveState"] is "active" or "reloading" && unit.ActiveSince is { } since
            ? new ProcessInstance(unit["InvocationID"], since)
            : null;

    /// <summary>Shell that puts the instance into <c>$instance</c>, empty when none runs.</summary>
    public string RenderInstance() =>
        IsContainer
            ? $$$"""
                instance=$(docker container inspect -f '{{if .State.Running}}{{.Id}}{{.State.StartedAt}}{{end}}' {{{Script.Quote(
                    Name
                )}}} 2>/dev/null) || instance=

                """
            : $$"""
                case $(systemctl show -p ActiveState --value -- {{Script.Quote(Name)}}) in
                active | reloading) instance=$(systemctl show -p InvocationID --value -- {{Script.Quote(Name)}}) ;;
                *) instance= ;;
                esac

                """;

    /// <inheritdoc />
    public override string ToString() => (IsContainer ? "container " : "unit ") + Name;

    private static ProcessInstance? OfContainer(string json)
    {
        using var document = JsonDocument.Parse(json);
        var state = document.RootElement.GetProperty("State");
        var startedAt = state.GetProperty("StartedAt");
        return state.GetProperty("Running").GetBoolean()
            ? new ProcessInstance(document.RootElement.GetProperty("Id").GetString() + startedAt.GetString(), startedAt.GetDateTimeOffset())
            : null;
    }
}
