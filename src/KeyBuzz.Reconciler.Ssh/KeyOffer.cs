using System.Collections.Immutable;
using Renci.SshNet;
using Renci.SshNet.Security;

namespace KeyBuzz.Reconciler.Ssh;

/// <summary>The keys that are shown to one server, in order, and how each signs.</summary>
internal sealed class KeyOffer : IPrivateKeySource
{
    private const string CertificateSuffix = "-cert-v01@openssh.com";

    private readonly List<HostAlgorithm> _algorithms = [];
    private readonly HashSet<string> _offered = new(StringComparer.Ordinal);

    public IReadOnlyCollection<HostAlgorithm> HostKeyAlgorithms => _algorithms;

    /// <summary>The keys, for a message.</summary>
    public List<string> Names { get; } = [];

    /// <summary>The certificates among them, with their files.</summary>
    public List<(string Path, Certificate Certificate)> Certificates { get; } = [];

    /// <summary>Why keys were left out.</summary>
    public List<SshProblem> LeftOut { get; } = [];

    /// <summary>Adds a key, or a certificate on its own, unless it is among them.</summary>
    /// <param name="blob">The key as SSH writes it.</param>
    /// <param name="certificate">The certificate to show in place of the key; empty for none.</param>
    /// <param name="sign">Signs, given a plain algorithm such as <c>rsa-sha2-512</c>.</param>
    public bool Add(ImmutableArray<byte> blob, ImmutableArray<byte> certificate, Func<string, byte[], byte[]> sign)
    {
        var shown = certificate.Length > 0 ? certificate : blob;
        if (!_offered.Add(Convert.ToBase64String(shown.AsSpan())))
        {
            return false;
        }

        var type = KnownHosts.TypeOf(shown.AsSpan());
        var isCertificate = type.EndsWith(CertificateSuffix, StringComparison.Ordinal);
        var plain = isCertificate ? type[..^CertificateSuffix.Length] : type;
        foreach (var signature in plain == "ssh-rsa" ? ["rsa-sha2-512", "rsa-sha2-256"] : (string[])[plain])
        {
            // The certificate of a security key's sk-…@openssh.com is sk-…-cert-v01@openssh.com.
            var algorithm = isCertificate && signature.StartsWith("sk-", StringComparison.Ordinal) ? signature + "@openssh.com" : signature;
            _algorithms.Add(
                new Signer(isCertificate ? signature + CertificateSuffix : signature, [.. shown], data => sign(algorithm, data))
            );
        }

        return true;
    }

    private sealed class Signer(string name, byte[] data, Func<byte[], byte[]> sign) : HostAlgorithm(name)
    {
        public override byte[] Data => data;

        public override byte[] Sign(byte[] data) => sign(data);

        public override bool VerifySignature(byte[] data, byte[] signature) => throw new NotSupportedException();
    }
}
