using System.Globalization;
using System.Net;
using System.Text;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.ConfigFile;
using KeyBuzz.Reconciler.Providers.Directory;
using KeyBuzz.Reconciler.Providers.Processes;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.Certificate;

/// <summary>A server's certificate with its private key, in one file, issued by an authority whose key stays on this machine. It is
/// compared by what it says, and issued anew where that is not as declared, or its end is near.</summary>
public sealed class CertificateProvider : IHostResourceProvider, IReplaceable, ILoadedByProcess
{
    /// <summary>The name of the type.</summary>
    public const string Type = "certificate";

    /// <summary>The attribute that differs where it has to be renewed.</summary>
    public const string Renewal = "renewal";

    /// <summary>The attribute that differs where the process has not loaded it.</summary>
    public const string Loaded = "loaded";

    /// <summary>The attribute that differs where the port serves another one.</summary>
    public const string Served = "served";

    /// <summary>The attribute that differs where another authority issued it.</summary>
    public const string Issuer = "issuer";

    private const string AddressKey = "address";
    private const string PortKey = "port";
    private const string AuthorityKey = "authority";
    private const int LongestSubject = 64;
    private const long LongestValidity = 3_155_760_000;
    private const string ReplaceAuthority = "replace it (docs/tls.md, The authority)";

    private readonly TimeProvider _time;
    private readonly string _markers;

    /// <summary>Makes the provider.</summary>
    /// <param name="time">The clock.</param>
    /// <param name="markers">The directory on the hosts where it is noted what processes have loaded.</param>
    public CertificateProvider(TimeProvider time, string markers = LoadedMarker.DefaultDirectory) => (_time, _markers) = (time, markers);

    /// <inheritdoc />
    public ResourceSchema Schema { get; } =
        new(
            Type,
            "A server's certificate with its private key, as one PEM file; renewed before it expires.",
            [
                new("path", AttributeKind.Path, "Where the file is.") { Required = true, Effect = ChangeEffect.Replace },
                new(
                    AuthorityKey,
                    AttributeKind.Text,
                    "The authority that signs it: a secret that kbr init --credentials makes, or certificate and private key as PEM."
                )
                {
                    Required = true,
                    MayHoldSecret = true,
                },
                new("subject", AttributeKind.String, "Its common name.") { Required = true },
                new("names", AttributeKind.StringList, "The host names and addresses that it is for.") { Required = true },
                new("validity", AttributeKind.Integer, "Seconds that it is valid.") { Default = 7_776_000, Minimum = 60 },
                new("renew_before", AttributeKind.Integer, "Seconds before its end from which on it is renewed.")
                {
                    Default = 2_592_000,
                    Minimum = 1,
                },
                new("owner", AttributeKind.String, "User name or number that owns it.") { Default = ConfigFileSpec.DefaultPrincipal },
                new("group", AttributeKind.String, "Group name or number that owns it.") { Default = ConfigFileSpec.DefaultPrincipal },
                new("mode", AttributeKind.Mode, "Its permissions.") { Default = "0600" },
                new("reload", AttributeKind.String, "A shell command that makes the running process load the new file."),
                new("loaded_by", AttributeKind.String, "The process that loads it: container:NAME or unit:NAME.service."),
                new(AddressKey, AttributeKind.String, "The address of the host on which the process serves it to clients of PostgreSQL."),
                new(PortKey, AttributeKind.Integer, "The port there: which certificate it serves is asked and compared.") { Minimum = 1 },
            ]
        );

    /// <inheritdoc />
    public string LoadedAttribute => Loaded;

    /// <inheritdoc />
    public string? ProcessOf(Resource resource) => resource.Spec.OptionalString("loaded_by");

    /// <inheritdoc />
    public bool HoldsData(Resource resource) => false;

    /// <inheritdoc />
    public IEnumerable<Diagnostic> Validate(Resource resource)
    {
        var spec = resource.Spec;
        if (spec.Has("reload") != spec.Has("loaded_by"))
        {
            yield return Error(resource, "reload and loaded_by go together");
        }

        if (spec.Has(AddressKey) != spec.Has(PortKey) || (spec.Has(PortKey) && !spec.Has("reload")))
        {
            yield return Error(resource, "address, port and reload go together");
        }
        else if (spec.OptionalString(AddressKey) is { } address && !IPAddress.TryParse(address, out _))
        {
            yield return Error(resource, $"address '{address}' is no IP address");
        }
        else if (spec.Integer(PortKey) is > 65535)
        {
            yield return Error(resource, "port must be 1 to 65535");
        }

        if (spec.OptionalString("loaded_by") is { } process && !ProcessReference.TryParse(process, out _))
        {
            yield return Error(resource, $"loaded_by '{process}' is neither container:NAME nor unit:NAME.service");
        }

        if (spec.OptionalString("mode") is { Length: > 0 } mode && mode[^1] != '0')
        {
            yield return Error(resource, $"mode {mode} lets everyone on the host use a private key", "give mode 0600, or 0640 and a group");
        }

        if (spec.Integer("validity") is > LongestValidity)
        {
            yield return Error(resource, $"validity may be at most {LongestValidity} seconds, a hundred years");
        }
        else if (
            CertificateAuthority.LeftWhenIssued(TimeSpan.FromSeconds(spec.Integer("validity") ?? 0)).TotalSeconds is var left
            && spec.Integer("renew_before") >= left
        )
        {
            yield return Error(
                resource,
                "renew_before is not shorter than validity",
                $"a new certificate has {(long)left} s left, so each apply would renew it; give a third of the validity"
            );
        }

        if (spec.OptionalString("subject") is { } subject && (subject.Length is 0 or > LongestSubject || subject.Any(char.IsControl)))
        {
            yield return Error(resource, $"subject '{subject}' must have 1 to {LongestSubject} letters");
        }

        foreach (var name in spec.List("names"))
        {
            if (!IPAddress.TryParse(name, out _) && !IsHostName(name))
            {
                yield return Error(resource, $"'{name}' is neither a host name nor an address", "give names as clients connect to them");
            }
        }
    }

    /// <inheritdoc />
    public ResourceLinks Links(Resource resource)
    {
        var path = ConfigFileSpec.Of(resource).Path;
        return new ResourceLinks([$"file:{path}"], [$"path:{PathRules.Parent(path)}"]) { ManagedPaths = [path], ReplacedFiles = [path] };
    }

    /// <inheritdoc />
    public IEnumerable<Read> Reads(Resource resource)
    {
        var spec = ConfigFileSpec.Of(resource);
        yield return new StatRead(spec.Path);
        yield return new FileRead(spec.Path);
        if (spec.LoadedBy is { } process)
        {
            yield return process.Read;
            yield return Marker(resource).Read;
        }

        if (Port(resource) is { } port)
        {
            yield return port;
        }
    }

    /// <inheritdoc />
    public SortedMap<AttributeValue> Desired(Resource resource)
    {
        var spec = CertificateSpec.Of(resource);
        var values = spec.Desired(AuthorityOf(resource))
            .Add("owner", new(spec.File.Owner))
            .Add("group", new(spec.File.Group))
            .Add("mode", new(spec.File.Mode));
        values = spec.File.LoadedBy is null ? values : values.Add(Loaded, new(LoadedMarker.Current));
        return Port(resource) is null ? values : values.Add(Served, new(LoadedMarker.Current));
    }

    /// <inheritdoc />
    public Observation Observe(Resource resource, Snapshot snapshot)
    {
        var spec = CertificateSpec.Of(resource);
        var file = spec.File;
        if (snapshot.Get(new StatRead(file.Path)) is not { } stat)
        {
            return new Observation.Absent();
        }

        if (!stat.Kind.StartsWith("regular", StringComparison.Ordinal))
        {
            return new Observation.Unknown($"{file.Path} is a {stat.Kind}, not a regular file");
        }

        if (snapshot.Get(new FileRead(file.Path)) is not { } content)
        {
            return new Observation.Unknown($"{file.Path} cannot be read, or is larger than 8 MiB");
        }

        var authority = AuthorityOf(resource);
        var found = spec.Found(content.Text, authority, _time.GetUtcNow());
        var values = found
            .Add("owner", AttributeValue.OfWord(stat.OwnerBeside(file.Owner)))
            .Add("group", AttributeValue.OfWord(stat.GroupBeside(file.Group)))
            .Add("mode", new(stat.Mode));
        if (file.LoadedBy is { } process)
        {
            if (!process.TryFind(snapshot, out var instance, out var reason))
            {
                return new Observation.Unknown(reason);
            }

            // One that is issued anew is loaded and served then anyway: that is one difference, not two.
            var loaded = Differs(spec.Desired(authority), found) ? null : Marker(resource).Judge(instance, stat, content, snapshot);
            values = values.Add(Loaded, new(loaded ?? LoadedMarker.Current));
            if (Port(resource) is { } port)
            {
                values = values.Add(
                    Served,
                    new(
                        loaded == LoadedMarker.Current && OtherCertificate(content.Text, snapshot.Get(port)) is { } other
                            ? other
                            : LoadedMarker.Current
                    )
                );
            }
        }

        // One of this authority is kbr's own, also where its record was lost.
        return new Observation.Present(values)
        {
            IsManaged = authority is not null && X509Certificate.Find(content.Text)?.IsSignedBy(authority.Certificate) == true,
        };
    }

    /// <inheritdoc />
    public Script Render(ResourceChange change)
    {
        var spec = CertificateSpec.Of(change.Resource);
        var file = spec.File;
        var marker = Marker(change.Resource);
        var swap = new FileSwap(file.Path);
        var body = new StringBuilder("(\n").Append(swap.RenderStart());
        if (change.Operation == ResourceOperation.Delete)
        {
            return new Script(body.Append("rm -f -- \"$path\"\n").Append(marker.RenderRemove()).Append(")\n").ToString());
        }

        // A key that others could read is not used any longer, so any difference of the file is a new certificate.
        if (change.Operation != ResourceOperation.Update || change.Changed.Any(name => name is not (Loaded or Served)))
        {
            var authority = AuthorityOf(change.Resource)
                ?? throw new ChangeFailedException("the authority of the certificate cannot be read; kbr validate names the problem");
            var now = _time.GetUtcNow();
            if (now >= authority.NotAfter)
            {
                throw new ChangeFailedException($"{Expired(authority)}; {ReplaceAuthority}");
            }

            var content = authority.Issue(spec.Subject, spec.Names, now, spec.Validity);
            body.Append(swap.RenderWrite(content, file.Owner, file.Group, file.Mode, check: null));
        }

        if (file.LoadedBy is { } process)
        {
            // What the port then serves proves it.
            file = Port(change.Resource) is { } port
                ? file with
                {
                    ReloadConfirm = port.RenderConfirm(file.Path),
                    ConfirmTimeout = 10,
                }
                : file;
            body.Append(ConfigFileProvider.RenderReload(file, process, marker, refused: change.ProcessIsReplaced ? 0 : 1));
        }

        return new Script(body.Append(")\n").ToString());
    }

    private static TlsRead? Port(Resource resource) =>
        resource.Spec.OptionalString(AddressKey) is { } address && resource.Spec.Integer(PortKey) is { } port
            ? new TlsRead(address, (int)port)
            : null;

    // What the port serves in place of the file's; null where it serves that, or none: then the process does not use the file.
    private static string? OtherCertificate(string file, ServedTls served) =>
        served.Certificate.IsEmpty || X509Certificate.Find(file)?.Encoded.Span.SequenceEqual(served.Certificate.Span) == true ? null
        : X509Certificate.Read(served.Certificate.ToArray()) is { } other
            ? $"another: {other.Subject} of {CertificateAuthority.Shows(other.Issuer, other.AuthorityKeyIdentifier)}, "
                + $"until {CertificateSpec.Shown(other.NotAfter)}"
        : "another, which cannot be read";

    // Without the secret nothing is known of the issuer.
    private static bool Differs(SortedMap<AttributeValue> desired, SortedMap<AttributeValue> found)
    {
        foreach (var (name, value) in desired)
        {
            if (found[name].Value != value.Value && value.Value.Length > 0)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Why the declared authority cannot sign a certificate; null where it can.</summary>
    public static string? TroubleOfAuthority(Resource resource)
    {
        ArgumentNullException.ThrowIfNull(resource);
        var trouble = "it has no value";
        return resource.Spec.Text(AuthorityKey) is { } text && CertificateAuthority.Read(text.Reveal(), out trouble) is not null
            ? null
            : trouble;
    }

    /// <summary>An error where the declared authority has expired, and a warning where it ends before a certificate that it issues now;
    /// null elsewhere, and where it is not known.</summary>
    /// <param name="resource">A certificate.</param>
    /// <param name="now">The time.</param>
    public static Diagnostic? EndOfAuthority(Resource resource, DateTimeOffset now)
    {
        ArgumentNullException.ThrowIfNull(resource);
        if (AuthorityOf(resource) is not { } authority)
        {
            return null;
        }

        return now >= authority.NotAfter
                ? Diagnostic.Error(Expired(authority), resource.Location, "who verifies it refuses every server", ReplaceAuthority)
            : authority.NotAfter - now < CertificateSpec.Of(resource).Validity
                ? Diagnostic.Warning(
                    $"the authority {authority.Shown} ends at {CertificateSpec.Shown(authority.NotAfter)}",
                    resource.Location,
                    "a certificate that it issues now is not trusted until its own end",
                    ReplaceAuthority
                )
            : null;
    }

    private static string Expired(CertificateAuthority authority) =>
        $"the authority {authority.Shown} expired at {CertificateSpec.Shown(authority.NotAfter)}";

    // Commands that only compare do without secrets, and with a stand-in for each.
    private static CertificateAuthority? AuthorityOf(Resource resource) =>
        resource.Spec.Text(AuthorityKey) is { } text ? CertificateAuthority.Read(text.Reveal(), out _) : null;

    private static bool IsHostName(string name) =>
        name.Length is > 0 and <= 253
        && name.Split('.').All(label => label.Length is > 0 and <= 63 && label[0] != '-' && label[^1] != '-')
        && name.All(letter => char.IsAsciiLetterOrDigit(letter) || letter is '-' or '.' or '_');

    private LoadedMarker Marker(Resource resource) => LoadedMarker.Of(resource.Address, _markers);

    private static Diagnostic Error(Resource resource, string summary, string? remedy = null) =>
        Diagnostic.Error(summary, resource.Location, remedy: remedy, address: resource.Address.ToString());
}
