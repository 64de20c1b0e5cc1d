using System.Globalization;
using Renci.SshNet;
using Renci.SshNet.Security;

namespace KeyBuzz.Reconciler.Ssh;

/// <summary>Judges the key that a server shows, by known_hosts.</summary>
internal sealed class HostKeys
{
    private const string CertificateSuffix = "-cert-v01@openssh.com";

    private readonly SshTarget _target;
    private readonly KnownHosts _known;
    private readonly TimeProvider _time;
    private Certificate? _shown;

    public HostKeys(SshTarget target, TimeProvider time)
    {
        _target = target;
        _time = time;
        _known = KnownHosts.Load(target.KnownHosts);
    }

    // For messages.
    private string File => _target.NewKeysFile ?? _target.KnownHosts.FirstOrDefault("known_hosts");

    /// <summary>Asks the server for the key that is known: it has keys of several types, and shows the one asked for first.</summary>
    public void Prefer(ConnectionInfo info)
    {
        var algorithms = info.HostKeyAlgorithms;
        var certificates = algorithms.Keys.Where(name => name.EndsWith(CertificateSuffix, StringComparison.Ordinal)).ToList();
        var vouched = _known.HasAuthority(_target.KeyName);
        foreach (var name in certificates)
        {
            if (!vouched)
            {
                // Without certificates in the offer the host shows its plain key.
                algorithms.Remove(name);
                continue;
            }

            var make = algorithms[name];
            algorithms[name] = blob =>
            {
                // The library refuses an expired one without a word.
                _shown = new Certificate(blob);
                return make(blob);
            };
        }

        string[] preferred =
        [
            .. vouched ? certificates : [],
            .. _known.KeyTypes(_target.KeyName).SelectMany(type => type == "ssh-rsa" ? (string[])["rsa-sha2-512", "rsa-sha2-256"] : [type]),
        ];
        for (var i = preferred.Length - 1; i >= 0; i--)
        {
            if (algorithms.ContainsKey(preferred[i]))
            {
                algorithms.SetPosition(preferred[i], 0);
            }
        }
    }

    /// <summary>Why a key is refused, or null; a new one is added where that is the setting.</summary>
    /// <param name="key">The key; of a certificate, the one that it is about.</param>
    /// <param name="certificate">The certificate, whose own signature the library has checked; null for none.</param>
    public SshProblem? Judge(byte[] key, Certificate? certificate)
    {
        if (certificate is not null && _known.IsAuthority(_target.KeyName, certificate.CertificateAuthorityKey))
        {
            return JudgeCertificate(key, certificate);
        }

        return JudgeKey(key);
    }

    /// <summary>Why the library broke off after a certificate was shown, or null when it was not for that.</summary>
    public SshProblem? BrokenOff()
    {
        var now = (ulong)Math.Max(0, _time.GetUtcNow().ToUnixTimeSeconds());
        return _shown is not { } certificate ? null
            : certificate.ValidBeforeUnixSeconds < now
                ? new SshProblem(
                    $"its host certificate expired at {When(certificate.ValidBeforeUnixSeconds)}",
                    "have the host's key signed again by its authority"
                )
            : certificate.ValidAfterUnixSeconds > now
                ? new SshProblem(
                    $"its host certificate is not valid before {When(certificate.ValidAfterUnixSeconds)}",
                    "is this machine's clock right?"
                )
            : null;
    }

    /// <summary>A time of a certificate.</summary>
    public static string When(ulong seconds) =>
        DateTimeOffset
            .FromUnixTimeSeconds((long)Math.Min(seconds, 253_402_300_799))
            .ToString("yyyy-MM-dd HH:mm:ss 'UTC'", CultureInfo.InvariantCulture);

    private SshProblem? JudgeCertificate(byte[] key, Certificate certificate)
    {
        var authority = KnownHosts.Fingerprint(certificate.CertificateAuthorityKey);
        if (_known.IsRevoked(_target.KeyName, key) || _known.IsRevoked(_target.KeyName, certificate.CertificateAuthorityKey))
        {
            return Revoked(key);
        }

        // OpenSSH compares the name alone, without a port.
        var name = _target.KeyName == KnownHosts.Name(_target.Hostname, _target.Port) ? _target.Hostname : _target.KeyName;
        return certificate.Type != Certificate.CertificateType.Host
                ? new SshProblem(
                    "its host certificate is a user's certificate",
                    "have the host's key signed as a host's: ssh-keygen -h -s CA"
                )
            : certificate.ValidPrincipals.Any() && !certificate.ValidPrincipals.Contains(name, StringComparer.OrdinalIgnoreCase)
                ? new SshProblem(
                    $"its host certificate, signed by {authority}, is for {string.Join(", ", certificate.ValidPrincipals)} and not for {name}",
                    "have the host's key signed for that name, or connect by a name of the certificate: ssh.host"
                )
            : certificate.CriticalOptions.Any()
                ? new SshProblem(
                    "its host certificate has critical options, which mean nothing for a host",
                    "have the host's key signed again, without them"
                )
            : SignatureName(certificate) == "ssh-rsa"
                ? new SshProblem(
                    $"its host certificate is signed with SHA-1 by {authority}",
                    "have it signed again: ssh-keygen -t rsa-sha2-512"
                )
            : null;
    }

    // As a shell takes it.
    private static string Quoted(string path) =>
        path.All(letter => char.IsAsciiLetterOrDigit(letter) || letter is '/' or '.' or '-' or '_')
            ? path
            : "'" + path.Replace("'", "'\\''", StringComparison.Ordinal) + "'";

    private static string SignatureName(Certificate certificate) => KnownHosts.TypeOf(certificate.Signature);

    private SshProblem? JudgeKey(byte[] key)
    {
        var name = _target.KeyName;
        var what = $"{KnownHosts.TypeOf(key)} key {KnownHosts.Fingerprint(key)}";

        // The line holds the key that was compared; another scan could bring another one.
        var accept = $"echo '{KnownHosts.Line(name, key)}' >> {Quoted(File)}";
        switch (_known.Check(name, key))
        {
            case HostKeyVerdict.Known:
                return null;
            case HostKeyVerdict.Unknown when _target.Checking == HostKeyChecking.AcceptNew:
                return Added(name, key, what);
            case HostKeyVerdict.Unknown:
                return new SshProblem(
                    $"its {what} is not in {File}",
                    $"compare the fingerprint with the host's own (ssh-keygen -lf on its /etc/ssh/*.pub), then: {accept}"
                );
            case HostKeyVerdict.AuthorityOnly:
                return new SshProblem(
                    $"its {what} is not signed by the certificate authority that {File} names for {name} (@cert-authority)",
                    $"have the host's key signed, or compare the fingerprint with the host's own and add the key itself: {accept}"
                );
            case HostKeyVerdict.Revoked:
                return Revoked(key);
            default:
                var file = _known.FileOf(name) ?? File;
                return new SshProblem(
                    $"its {what} differs from {file}: the host was reinstalled, or the connection is intercepted",
                    $"do not log in before you know why; then ssh-keygen -R '{name}' -f {Quoted(file)}, and compare the fingerprint of the new key"
                );
        }
    }

    private SshProblem Revoked(byte[] key) =>
        new(
            $"its {KnownHosts.TypeOf(key)} key {KnownHosts.Fingerprint(key)} is marked @revoked in {File}",
            "give the host a new key; do not connect to it before"
        );

    private SshProblem? Added(string name, byte[] key, string what)
    {
        // As with ssh, which accepts a key that it keeps nowhere.
        if (_target.NewKeysFile is not { } file)
        {
            return null;
        }

        try
        {
            KnownHosts.Add(file, _target.HashesNames ? KnownHosts.Hashed(name) : name, key);
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return new SshProblem($"its {what} is new and cannot be added to {file}: {e.Message}", $"make {file} writable", e);
        }
    }
}
