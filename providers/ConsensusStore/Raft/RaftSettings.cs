using System.Collections.Immutable;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.ConfigFile;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.ConsensusStore.Raft;

/// <summary>RAFT's settings in the <c>postgres</c> section: a directory and a port of each member, and a module that fixes
/// pysyncobj.</summary>
internal sealed record RaftSettings : StoreSettings
{
    private readonly string _scope;
    private readonly string _directory;
    private readonly int _port;
    private readonly SecretText? _password;
    private readonly SourceLocation _passwordPlace;

    private ImmutableArray<Host> Members { get; init; }

    /// <summary>Reads the section.</summary>
    public RaftSettings(RaftStore store, SectionReader section, StoreContext context)
        : base(store)
    {
        var ports = section.Section("ports");
        _scope = context.Scope;
        Members = context.Members;
        _directory = section.Section("directories").HostPath(RaftStore.DirectoryKey, context.MountPoint + "/raft");
        _port = ports.Port(RaftStore.PortKey) ?? RaftMembership.DefaultPort;
        _password = section.Boolean(RaftPassword.Key) == false ? null : context.Password(RaftPassword.Credential, section.At);
        _passwordPlace = section.Place(RaftPassword.Key);
        Directories = [new StoreDirectory(RaftStore.DirectoryKey, "postgres-raft", _directory, "0700")];
        Ports = [new StorePort(_port, store.Name, ports.Place(RaftStore.PortKey))];
        Files = [new StoreFile("patroni-raft-guard", RaftGuard.FileName, SecretText.Plain(RaftGuard.Module))];
        Environment = [("PYTHONPATH", context.ConfigurationDirectory)];
        OpenAccess = _password is null
            ? [$"Open: RAFT, without a password, on port {_port} of each member ({RaftPassword.Key}: false)"]
            : [];
    }

    /// <inheritdoc />
    public override ImmutableArray<(string Name, object? Value)> GateAttributes => [(RaftMembership.PortAttribute, (long)_port)];

    /// <inheritdoc />
    public override SecretText PatroniFragment(Host member) =>
        ConfigText.Of(
            $"""
            raft:
              data_dir: {ConfigText.Quoted(_directory)}
              self_addr: {ConfigText.Quoted(AddressOf(member))}
              # Left out, it is every address.
              bind_addr: {ConfigText.Quoted(AddressOf(member))}
              partner_addrs:{Partners(member)}{Password()}
            """
        );

    /// <inheritdoc />
    public override ImmutableArray<string> StartSettings(Host member, string dataDirectory) =>
        [AddressOf(member), _directory, dataDirectory, _password?.Reveal() ?? "", "bind_addr " + AddressOf(member), RaftGuard.Module];

    // A roll-out reads from it which members can communicate.
    /// <inheritdoc />
    public override ImmutableArray<(string Name, string Value)> Labels(Func<ImmutableArray<string>, string> fingerprint) =>
        [(RaftPassword.Label, Mark(fingerprint))];

    /// <inheritdoc />
    public override ImmutableArray<(string Name, object? Value)> ClusterAttributes(Func<ImmutableArray<string>, string> fingerprint) =>
        [
            .. GateAttributes,
            (RaftStore.DirectoryAttribute, _directory),
            (RaftMembership.Attribute, (IReadOnlyList<string>)[.. Members.Select(AddressOf)]),
            (RaftPassword.Key, Mark(fingerprint)),
        ];

    /// <inheritdoc />
    public override string AddressOf(Host host) => RaftMembership.AddressOf(host, _port);

    /// <inheritdoc />
    public override bool HasPassword => _password is not null;

    /// <inheritdoc />
    public override StoreSettings Of(ImmutableArray<Host> members) => this with { Members = members };

    /// <inheritdoc />
    public override void Check(Findings findings)
    {
        ArgumentNullException.ThrowIfNull(findings);
        if (_password is null)
        {
            findings.Warning(
                "RAFT has no password",
                _passwordPlace,
                $"any client that reaches port {_port} of a member can change the primary",
                "omit it only while adopting a cluster without one (docs/adopting.md)"
            );
        }
    }

    private string Mark(Func<ImmutableArray<string>, string> fingerprint) =>
        _password is null ? RaftPassword.None : fingerprint(["raft.password", _scope, _password.Reveal()]);

    private string Partners(Host member)
    {
        var others = Members
            .Where(other => other.Name != member.Name)
            .Select(other => $"\n    - {ConfigText.Quoted(AddressOf(other))}")
            .ToArray();
        return others.Length == 0 ? " []" : string.Concat(others);
    }

    private SecretText Password() =>
        _password is null ? SecretText.Plain("") : ConfigText.Of($"\n  password: {ConfigText.Quoted(_password)}");
}
