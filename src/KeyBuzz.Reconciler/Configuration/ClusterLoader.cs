using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Text;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Graph;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Configuration;

/// <summary>The credentials that a cluster.yaml speaks of.</summary>
/// <param name="Path">The credentials file.</param>
/// <param name="Names">The secrets that must have a value, <see cref="Secrets.KeyName"/> among them.</param>
public sealed record CredentialsNeeded(string Path, ImmutableArray<string> Names)
{
    /// <summary>The values of names that are not secrets, such as a user's; the others get a random value.</summary>
    public ImmutableSortedDictionary<string, string> Values { get; init; } = ImmutableSortedDictionary<string, string>.Empty;
}

/// <summary>Reads and validates cluster.yaml.</summary>
public static class ClusterLoader
{
    /// <summary>Reads a cluster.yaml. Throws <see cref="DiagnosticException"/> with everything that is wrong with it.</summary>
    /// <param name="file">The file as the operator named it.</param>
    /// <param name="syntax">Its syntax.</param>
    /// <param name="environment">The environment variables.</param>
    /// <param name="secretsOptional">Whether secrets may be missing: then the resources are whole but for their secret values, which must
    /// not be compared or applied.</param>
    public static Cluster Load(
        string file,
        ClusterSyntax syntax,
        IReadOnlyDictionary<string, string> environment,
        bool secretsOptional = false
    )
    {
        ArgumentNullException.ThrowIfNull(syntax);
        var (providers, preconditions, connection, blueprints) = syntax;
        var findings = new Findings();
        if (!Path.Exists(file))
        {
            throw new DiagnosticException(
                Diagnostic.Error($"{file} does not exist", remedy: "kbr init writes a first one; -c names another")
            );
        }

        var source = SourceText.Read(file, file, largest: SourceText.LargestCluster);
        var root = Root(source, syntax, findings);
        var start = source.At(1, 1);
        var directory = Path.GetDirectoryName(Path.GetFullPath(file))!;

        root.Allow(ClusterSchema.Names(syntax));
        Placeholders.Check(root, blueprints, findings);
        CheckVersion(root, findings);
        var name = ReadName(root);
        var hosts = HostTable.Read(root.Find("hosts"), connection, start, findings);
        var connections = connection.ReadSettings(
            SectionReader.Of(root.Find(connection.Key), $"'{connection.Key}'", findings),
            directory,
            environment,
            findings
        );
        var secrets = ReadSecrets(
            SectionReader.Of(root.Find("secrets"), "'secrets'", findings),
            directory,
            DefaultCredentials(root, blueprints),
            environment,
            start,
            findings,
            secretsOptional
        );
        secrets.MarkPlain(blueprints.SelectMany(blueprint => blueprint.PlainNames));
        var declared = new PreconditionSection(preconditions, hosts, findings).Read(root.Find("preconditions"));
        var ignored = DriftSection.Read(SectionReader.Of(root.Find("drift"), "'drift'", findings), findings);

        var expanded = Expand(root, blueprints, new BlueprintContext(name, directory, hosts, secrets, providers, findings));
        ImmutableArray<Resource> made = [.. expanded.SelectMany(one => one.Expansion.Resources)];
        var interpolation = new Interpolation(source, name, hosts.ByName, secrets, findings);
        var binder = new ResourceBinder(directory, interpolation, findings);
        var section = new ResourceSection(hosts, binder, providers, made, findings);
        var own = section.Read(root.Find("resources"));
        ImmutableArray<Resource> resources = [.. made, .. own];
        ImmutableArray<GroupPolicy> policies = [.. expanded.SelectMany(one => one.Expansion.Policies)];
        var graph = new ResourceChecks(providers, section.Maps, findings).Run(resources, section.References, policies);
        var moved = MovedSection.Read(root.Find("moved"), resources, findings);
        foreach (var finding in expanded.SelectMany(one => one.Blueprint.Check(one.Expansion, own)))
        {
            findings.Add(finding);
        }

        findings.ThrowIfErrors();
        return new Cluster(
            name,
            file,
            directory,
            hosts.All,
            connections,
            Strictest([.. declared, .. expanded.SelectMany(one => one.Expansion.Preconditions)]),
            resources,
            secrets.All(),
            [.. findings.Warnings]
        )
        {
            Groups = [.. expanded.SelectMany(one => one.Expansion.Groups)],
            Policies = policies,
            Models = [.. expanded.Select(one => one.Expansion.Model).OfType<object>()],
            IgnoredDrift = ignored,
            CredentialsFile = secrets.FileName,
            Moved = moved,
            Graph = graph ?? ResourceGraph.Empty,
            Sources = Sources(source, binder, secrets),
        };
    }

    /// <summary>Reads only the hosts of a cluster.yaml, and how they are reached: for a command that makes what the rest of the file
    /// needs. Throws <see cref="DiagnosticException"/> with everything that is wrong with these.</summary>
    /// <param name="file">The file as the operator named it.</param>
    /// <param name="syntax">Its syntax.</param>
    /// <param name="environment">The environment variables.</param>
    public static Cluster LoadHosts(string file, ClusterSyntax syntax, IReadOnlyDictionary<string, string> environment)
    {
        ArgumentNullException.ThrowIfNull(syntax);
        var findings = new Findings();
        var source = SourceText.Read(file, file, largest: SourceText.LargestCluster);
        var root = Root(source, syntax, findings);
        var directory = Path.GetDirectoryName(Path.GetFullPath(file))!;
        var connection = syntax.Connection;
        CheckVersion(root, findings);
        var name = ReadName(root);
        var hosts = HostTable.Read(root.Find("hosts"), connection, source.At(1, 1), findings);
        var settings = SectionReader.Of(root.Find(connection.Key), $"'{connection.Key}'", findings);
        var connections = connection.ReadSettings(settings, directory, environment, findings);
        findings.ThrowIfErrors();
        return new Cluster(
            name,
            file,
            directory,
            hosts.All,
            connections,
            [],
            [],
            new Secrets(ImmutableSortedDictionary<string, string>.Empty),
            [.. findings.Warnings]
        );
    }

    // As hashes, so that no secret can be shown by mistake.
    private static ImmutableSortedDictionary<string, string> Sources(SourceText source, ResourceBinder binder, SecretSource secrets)
    {
        var all = secrets.All();
        var sources = binder
            .Files.Where(pair => pair.Value is not null)
            .ToImmutableSortedDictionary(pair => pair.Key, pair => Hash(pair.Value!.Text), StringComparer.Ordinal)
            .SetItem(source.File, Hash(source.Text));
        return sources.SetItem("the secrets", Hash(string.Join('\n', all.Names.Select(name => $"{name}={all.Find(name)}"))));

        static string Hash(string text) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)));
    }

    /// <summary>The names for <c>kbr init --credentials</c>: readable also while the secrets are still missing.</summary>
    /// <param name="file">The file as the operator named it.</param>
    /// <param name="syntax">Its syntax.</param>
    public static CredentialsNeeded ReadCredentialsNeeded(string file, ClusterSyntax syntax)
    {
        ArgumentNullException.ThrowIfNull(syntax);
        var findings = new Findings();
        var root = Root(SourceText.Read(file, file, largest: SourceText.LargestCluster), syntax, findings);
        findings.ThrowIfErrors();
        var directory = Path.GetDirectoryName(Path.GetFullPath(file))!;
        var section = SectionReader.Of(root.Find("secrets"), "'secrets'", findings);
        var path = section?.Word("file")?.Value ?? DefaultCredentials(root, syntax.Blueprints);
        var names = new SortedSet<string>(StringComparer.Ordinal) { Secrets.KeyName };
        names.UnionWith(section?.Words("required", "a list of names").Select(word => word.Value) ?? []);

        var values = ImmutableSortedDictionary.CreateBuilder<string, string>(StringComparer.Ordinal);
        foreach (var blueprint in syntax.Blueprints)
        {
            if (SectionReader.Of(root.Find(blueprint.Key), $"'{blueprint.Key}'", findings) is { } own)
            {
                foreach (var (name, value) in blueprint.CredentialsNeeded(own, root.Word("cluster")?.Value ?? "cluster"))
                {
                    names.Add(name);
                    if (value is not null)
                    {
                        values[name] = value;
                    }
                }
            }
        }

        var open = new Stack<YamlNode>([root.Map]);
        while (open.TryPop(out var node))
        {
            switch (node)
            {
                case YamlScalar scalar:
                    names.UnionWith(Interpolation.SecretsIn(scalar.Value));
                    break;
                case YamlSequence sequence:
                    sequence.Items.ForEach(open.Push);
                    break;
                case YamlMapping mapping:
                    if (mapping.Find("content_file") is YamlScalar { IsNull: false } content)
                    {
                        names.UnionWith(
                            Interpolation.SecretsIn(SourceText.Read(Path.Combine(directory, content.Value), content.Value, content.At).Text)
                        );
                    }

                    mapping.Entries.ForEach(entry => open.Push(entry.Value));
                    break;
            }
        }

        findings.ThrowIfErrors();
        return new CredentialsNeeded(Path.Combine(directory, path), [.. names.Where(ValueSyntax.IsVariableName)])
        {
            Values = values.ToImmutable(),
        };
    }

    private static ImmutableArray<(IBlueprint Blueprint, BlueprintExpansion Expansion)> Expand(
        SectionReader root,
        IReadOnlyCollection<IBlueprint> blueprints,
        BlueprintContext context
    )
    {
        var expanded = ImmutableArray.CreateBuilder<(IBlueprint, BlueprintExpansion)>();
        foreach (var blueprint in blueprints)
        {
            if (SectionReader.Of(root.Find(blueprint.Key), $"'{blueprint.Key}'", context.Findings) is not { } section)
            {
                continue;
            }

            var expansion = blueprint.Expand(section, context);
            foreach (var group in expansion.Groups)
            {
                if (context.Hosts.ProblemOfGroup(group.Name) is { } problem)
                {
                    context.Findings.Error(
                        $"'{group.Name}' cannot be the name of the group that '{blueprint.Key}' makes",
                        section.At,
                        problem
                    );
                }
                else
                {
                    context.Hosts.Add(group);
                }
            }

            expanded.Add((blueprint, expansion));
        }

        return expanded.ToImmutable();
    }

    // The same precondition from a blueprint and from the file is merged, with the higher level.
    private static ImmutableArray<Precondition> Strictest(IReadOnlyCollection<Precondition> preconditions) =>
        [
            .. preconditions
                .GroupBy(one => (one.Host, one.Kind, Settings: Shown(one.Settings)))
                .Select(same => same.MaxBy(one => one.Level)!),
        ];

    private static string Shown(AttributeSet settings) =>
        string.Join(
            '\n',
            settings.Names.Order(StringComparer.Ordinal).Select(name => $"{name}={AttributeValue.Of(settings[name]!).Value}")
        );

    private static SectionReader Root(SourceText source, ClusterSyntax syntax, Findings findings)
    {
        var node = YamlDocument.Parse(source, findings);
        return node is YamlMapping map
            ? new SectionReader(map, "the cluster", findings)
            : throw new DiagnosticException(
                Diagnostic.Error(
                    $"{source.File} must be a map with the keys {string.Join(", ", ClusterSchema.Names(syntax))}, not {node.Kind}",
                    node.At
                )
            );
    }

    private static void CheckVersion(SectionReader root, Findings findings)
    {
        if (root.Word("version", "1", required: true) is { } version && version.Value != "1")
        {
            findings.Error($"version {version.Kind} is unknown to this kbr", version.At, "known is 1");
        }
    }

    private static string ReadName(SectionReader root)
    {
        if (root.Word("cluster", "the cluster's name", required: true) is not { } word)
        {
            return "cluster";
        }

        if (!ValueSyntax.IsLabel(word.Value))
        {
            root.Error($"'{word.Value}' cannot be the name of a cluster", word.At, "lower-case letters, digits and inner '-' only");
        }

        return word.Value;
    }

    // A blueprint whose section the file has comes before one that only could have one.
    private static string DefaultCredentials(SectionReader root, IReadOnlyCollection<IBlueprint> blueprints) =>
        blueprints
            .OrderByDescending(blueprint => root.Find(blueprint.Key) is not null)
            .Select(blueprint => blueprint.CredentialsFile)
            .FirstOrDefault(file => file is not null)
        ?? SecretSource.DefaultFile;

    private static SecretSource ReadSecrets(
        SectionReader? section,
        string directory,
        string defaultFile,
        IReadOnlyDictionary<string, string> environment,
        SourceLocation start,
        Findings findings,
        bool optional
    )
    {
        section?.Allow(ClusterSchema.Secrets);
        var file = section?.Word("file", "a local path");
        var secrets = new SecretSource(directory, file?.Value ?? defaultFile, environment, findings, optional);
        foreach (var word in section?.Words("required", "a list of names") ?? [])
        {
            secrets.Require(word.Value, word.At, findings);
        }

        secrets.Require(Secrets.KeyName, file?.At ?? section?.At ?? start, findings);
        return secrets;
    }
}
