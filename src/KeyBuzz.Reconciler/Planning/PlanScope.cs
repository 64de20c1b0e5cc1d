using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Graph;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Planning;

/// <summary>The resources and groups that a plan looks at: all of them, or the targets with what they need (in a destroy: with what needs
/// them).</summary>
internal sealed class PlanScope
{
    private readonly PlanInput _input;
    private readonly Func<Address, bool> _includes;

    private PlanScope(PlanInput input, Func<Address, bool> includes)
    {
        _input = input;
        _includes = includes;
    }

    /// <summary>The scope that was asked for.</summary>
    /// <param name="input">The planner's input.</param>
    /// <param name="recorded">The graph of the recorded resources.</param>
    public static PlanScope Of(PlanInput input, Lazy<ResourceGraph> recorded) => new(input, Selection(input, recorded));

    /// <summary>Whether a resource is looked at.</summary>
    public bool Includes(Address address) => _includes(address);

    /// <summary>Whether the health of a group is looked at for its own sake.</summary>
    public bool Includes(GroupPolicy policy) =>
        _input.Options.Targets.IsEmpty || _input.Options.Targets.Any(pattern => pattern.Matches(policy.Address));

    /// <summary>An error for each pattern of the command line that matches nothing.</summary>
    public IEnumerable<Diagnostic> UnmatchedPatterns() =>
        _input
            .Options.Targets.Concat(_input.Options.Adopt)
            .Where(pattern =>
                !_input.Graph.Order.Any(pattern.Matches)
                && !_input.Records.Keys.Any(pattern.Matches)
                && !_input.Graph.Policies.Any(node => pattern.Matches(node.Policy.Address))
            )
            .Select(pattern => Diagnostic.Error($"no resource matches '{pattern}'", remedy: "write type.name@host; `*` matches anything"));

    private static Func<Address, bool> Selection(PlanInput input, Lazy<ResourceGraph> recorded)
    {
        if (input.Options is { Targets.IsEmpty: true, Destroy: false })
        {
            return _ => true;
        }

        if (input.Options.Targets.IsEmpty)
        {
            return address => input.Graph.Find(address) is not null || recorded.Value.Find(address) is not null;
        }

        var matched = input
            .Graph.Order.Concat(recorded.Value.Order)
            .Distinct()
            .Where(address => input.Options.Targets.Any(pattern => pattern.Matches(address)))
            .ToList();
        HashSet<Address> selected =
            input.Options.Destroy ? [.. input.Graph.WithDependents(matched), .. recorded.Value.WithDependents(matched)]
            : input.Options.TargetsOnly ? [.. matched]
            : [.. input.Graph.WithRequirements(matched), .. matched];
        return selected.Contains;
    }
}
