using System.Collections.Immutable;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;
using Microsoft.Extensions.DependencyInjection;

namespace KeyBuzz.Reconciler.Tests.Blueprints.Pool;

/// <summary>The <c>pool</c> section: a page on every host of a role, which are a group with a policy; <c>beside</c> is a host that the
/// policy works on, too.</summary>
internal sealed class PoolBlueprint : IBlueprint
{
    public const string Group = "pool";

    public string Key => "pool";

    public IReadOnlyCollection<string> PlainNames => [];

    public static void AddTo(IServiceCollection services)
    {
        services.AddSingleton<IBlueprint>(_ => new PoolBlueprint());
        services.AddSingleton<IResourceProvider>(_ => new PoolSettingProvider());
    }

    public BlueprintExpansion Expand(SectionReader section, BlueprintContext context)
    {
        section.Allow("role", "page", "text", "setting", "boot", "beside");
        var boot = section.Word("boot")?.Value;
        var setting = section.Word("setting")?.Value;
        var beside = section.Word("beside")?.Value;
        var role = section.Word("role", required: true)?.Value;
        var text = section.Word("text", required: true)?.Value;
        if (role is null || text is null)
        {
            return BlueprintExpansion.Empty;
        }

        var hosts = context.Hosts.All.Where(host => host.Role == role).Select(host => host.Name).ToImmutableArray();
        var page = section.HostPath("page", "/srv/index.html");
        var schema = context.Providers.First(provider => provider.Schema.Type == "config_file").Schema;
        var attributes = AttributeSet.Empty.With("path", page).With("content", SecretText.Plain(text + "\n"));
        return new BlueprintExpansion(
            [new HostGroup(Group, hosts)],
            [
                .. hosts.Select(host => new Resource(
                    new Address("config_file", "page", host),
                    SchemaDefaults.Fill(schema, attributes),
                    section.At
                )
                {
                    Group = Group,
                }),
                .. setting is null
                    ? []
                    : (Resource[])
                        [
                            new(
                                new Address("pool_setting", "motd", Group),
                                AttributeSet.Empty.With("page", page).With("value", setting).With("boot", boot ?? "none"),
                                section.At
                            ),
                        ],
            ],
            []
        )
        {
            Policies =
            [
                new GroupPolicy(Group, new PoolPolicy(), AttributeSet.Empty.With("page", page), section.At)
                {
                    Beside = beside is null ? [] : [beside],
                },
            ],
        };
    }

    public IEnumerable<CredentialNeeded> CredentialsNeeded(SectionReader section, string cluster) => [];
}

/// <summary>The pool is healthy when a mark beside each page says so.</summary>
internal sealed class PoolPolicy : IGroupPolicy
{
    public IReadOnlyList<AttributeDefinition> Settings { get; } = [new("page", AttributeKind.Path, "The page.")];

    public string Constraint => "one page at a time";

    public IEnumerable<Read> Reads(GroupPolicy policy) => [Page(policy), Mark(policy), Ahead(policy)];

    public SortedMap<AttributeValue> Desired(GroupPolicy policy) => Comparable.None.Add("pages", new("all served"));

    public Observation Observe(GroupPolicy policy, IReadOnlyDictionary<string, Snapshot> members)
    {
        var made = members.Where(member => member.Value.Get(Page(policy)) is not null).ToList();
        if (made.Count == 0)
        {
            return new Observation.Absent();
        }

        var bad = made.Where(member => member.Value.Get(Mark(policy))?.Text.Trim() != "served")
            .Select(member => member.Key)
            .Order()
            .ToList();
        return new Observation.Present(
            Comparable.None.Add("pages", new(bad.Count == 0 ? "all served" : $"not served by {string.Join(", ", bad)}"))
        )
        {
            Ahead = [.. made.Where(member => member.Value.Get(Ahead(policy)) is not null).Select(member => member.Key)],
        };
    }

    public RolloutForecast? Forecast(GroupPolicy policy, RolloutState state, IEnumerable<GroupOutlook> outlooks) =>
        new(policy.Address, [.. state.ToCome.Select(host => new RolloutStep(RolloutStepKind.Restart, [host], ""))], null, "pages flicker");

    // Keeps the page as it was found.
    public async Task PrepareAsync(GroupPolicy policy, IGroupAccess access, CancellationToken cancellationToken)
    {
        foreach (var member in access.Members)
        {
            var (page, ahead) = (Script.Quote(Page(policy).Path), Script.Quote(Ahead(policy).Path));
            var script = new Script($"[ ! -s {ahead} ] || exit 1\ncp {page} {page}.found\nrm {ahead}\n");
            if ((await access.RunAsync(member.Name, script, cancellationToken).ConfigureAwait(false)).ExitCode != 0)
            {
                throw new ChangeFailedException($"{member.Name} keeps its mark");
            }
        }
    }

    public async Task BringToHealthAsync(GroupPolicy policy, IGroupAccess group, CancellationToken cancellationToken)
    {
        foreach (var member in group.Members)
        {
            // A file beside the page says after how many seconds it is served.
            var (page, mark) = (Script.Quote(Page(policy).Path), Script.Quote(Mark(policy).Path));
            var script = new Script(
                $"if [ -e {page}.later ]; then {{ sleep $(cat {page}.later); echo served > {mark}; }} >/dev/null 2>&1 &\n"
                    + $"else echo served > {mark}; fi\n"
            );
            var result = await group.RunAsync(member.Name, script, cancellationToken).ConfigureAwait(false);
            if (result.ExitCode != 0)
            {
                throw new ChangeFailedException($"{member.Name} does not serve: {result.Error.Trim()}");
            }
        }
    }

    // Says in a file beside the page that it was asked.
    public async Task<RolloutTurn> NextAsync(
        GroupPolicy policy,
        RolloutState state,
        IGroupAccess access,
        CancellationToken cancellationToken
    )
    {
        foreach (var member in state.ToCome)
        {
            var script = new Script($"echo turn >> {Script.Quote(Page(policy).Path)}.order");
            await access.RunAsync(member, script, cancellationToken).ConfigureAwait(false);
        }

        return new RolloutTurn.Go([.. state.ToCome.Take(1)]);
    }

    public TimeSpan GateTimeout(GroupPolicy policy) => TimeSpan.FromSeconds(5);

    private static FileRead Page(GroupPolicy policy) => new(policy.Spec.String("page"));

    private static FileRead Ahead(GroupPolicy policy) => new(policy.Spec.String("page") + ".ahead");

    private static FileRead Mark(GroupPolicy policy) => new(policy.Spec.String("page") + ".served");
}
