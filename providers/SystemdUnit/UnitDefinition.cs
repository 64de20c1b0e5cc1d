using System.Collections.Immutable;
using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Providers.SystemdUnit;

/// <summary>The definition of a unit: kbr's file under /etc/systemd/system, and foreign files that override it.</summary>
/// <param name="Unit">The unit's name, with its suffix.</param>
/// <param name="AllowedDropIns">The drop-ins that may be there.</param>
public sealed record UnitDefinition(string Unit, ImmutableArray<string> AllowedDropIns)
{
    /// <summary>Where units are kept that an operator wrote.</summary>
    public const string Directory = "/etc/systemd/system/";

    /// <summary>The suffix of a file that was set aside; a number follows if that name exists.</summary>
    public const string AsideSuffix = ".before-kbr";

    /// <summary>The link target of a masked unit's file.</summary>
    public const string Masked = "masked";

    /// <summary>The unit's own file.</summary>
    public string Path => Directory + Unit;

    /// <summary>Whether a drop-in of that path could be one of this unit.</summary>
    public bool CanHave(string dropIn) =>
        dropIn.StartsWith('/')
        && dropIn.EndsWith(".conf", StringComparison.Ordinal)
        && dropIn.Contains($"/{Unit}.d/", StringComparison.Ordinal);

    /// <summary>The file that systemd has loaded the unit from: <see cref="Path"/>, another that comes before it, or
    /// <see cref="Masked"/>.</summary>
    public string Fragment(UnitState unit) =>
        unit["LoadState"] == "masked" ? Masked
        : unit["FragmentPath"] is { Length: > 0 } fragment ? fragment
        : Path;

    /// <summary>The drop-ins on the host that may not be there.</summary>
    public ImmutableArray<string> ForeignDropIns(UnitState unit) => [.. unit.DropIns.Where(path => !AllowedDropIns.Contains(path))];

    /// <summary>Why systemd does not run the unit by its own file alone, in words that follow its name; null when it does.</summary>
    public string? Trouble(UnitState unit) =>
        Fragment(unit) == Masked ? "is masked: it cannot be started"
        : Fragment(unit) != Path ? $"is defined by {Fragment(unit)} and not by {Path}"
        : ForeignDropIns(unit) is { IsEmpty: false } foreign ? $"is changed by {string.Join(" and ", foreign)}"
        : unit["NeedDaemonReload"] == "yes" ? "has files that changed since systemd read them; run systemctl daemon-reload"
        : null;

    /// <summary>How an apply handles overriding files; null for none.</summary>
    public string? Remedy(UnitState unit)
    {
        var fragment = Fragment(unit);
        List<string> remedies = [];
        if (fragment == Masked)
        {
            remedies.Add($"{Path} is a link to /dev/null: apply writes the unit again");
        }
        else if (fragment != Path)
        {
            remedies.Add($"apply renames {fragment} to {fragment}{AsideSuffix}");
        }

        remedies.AddRange(
            ForeignDropIns(unit).Select(path => $"apply renames {path} to {path}{AsideSuffix}; to keep it, list it under drop_ins")
        );
        return remedies.Count == 0 ? null : string.Join("; ", remedies);
    }
}
