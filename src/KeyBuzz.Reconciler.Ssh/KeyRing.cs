using System.Collections.Concurrent;
using System.Collections.Immutable;
using Renci.SshNet.Security;

namespace KeyBuzz.Reconciler.Ssh;

/// <summary>Chooses the keys for a server as ssh does: the configured ones, then what else the agent holds, and keys with a passphrase
/// that no agent holds last.</summary>
internal sealed class KeyRing(SshPrompts prompts, TimeProvider time)
{
    // A server ends the connection after a few keys that it does not know.
    private const int MostAgentKeys = 16;

    private readonly PrivateKeys _files = new(prompts);
    private readonly ConcurrentDictionary<string, Lazy<Task<AgentAnswer>>> _agents = new(StringComparer.Ordinal);

    /// <summary>The keys for a server.</summary>
    /// <param name="target">The server.</param>
    /// <param name="hold">Holds the connection's deadline while the operator is asked.</param>
    /// <exception cref="SshProblem">There is none.</exception>
    public async Task<KeyOffer> OfferAsync(SshTarget target, Func<IDisposable> hold)
    {
        var offer = new KeyOffer();
        var agent = target.AgentSocket is { } socket ? new SshAgent(socket, time) : null;
        var held = agent is null
            ? ImmutableArray<AgentKey>.Empty
            : await HeldAsync(agent, target.AgentSocket!, offer).ConfigureAwait(false);
        var certificates = target
            .Certificates.Select(path => (Path: path, Blob: PublicKeyFile.Read(path)))
            .Where(certificate => certificate.Blob.Length > 0)
            .ToList();
        List<Action> locked = [];
        foreach (var identity in target.Identities)
        {
            var shown = PublicKeyFile.Of(identity.Path);
            var sign = shown.Length > 0 && agent is not null ? AgentSigner(agent, held, shown, hold) : null;
            PrivateKey? key = null;
            try
            {
                // A file with the public half alone names a key of the agent.
                if (PublicKeyFile.Read(identity.Path).Length > 0)
                {
                    _ = sign
                        ?? throw new SshProblem(
                            $"{identity.Path} is a public key, and no agent holds its private key",
                            $"start an agent and add it: ssh-add {Path.ChangeExtension(identity.Path, null)}"
                        );
                }
                else if (File.Exists(identity.Path) || (sign is null && identity.IsRequired))
                {
                    // The error of a file that is missing says which.
                    key = _files.Open(identity.Path);
                }
            }
            catch (SshProblem problem) when (sign is not null || !identity.IsRequired)
            {
                offer.LeftOut.Add(problem);
            }

            if (key is { IsLocked: false })
            {
                Add(offer, identity.Path, key.Public, certificates, key.Sign);
            }
            else if (sign is not null)
            {
                Add(offer, identity.Path, shown, certificates, sign);
            }
            else if (key is not null)
            {
                locked.Add(() =>
                {
                    using var pause = shown.Length > 0 ? null : hold();
                    ImmutableArray<byte> offered;
                    try
                    {
                        offered = shown.Length > 0 ? shown : key.Public;
                    }
                    catch (SshProblem problem) when (!identity.IsRequired)
                    {
                        offer.LeftOut.Add(problem);
                        return;
                    }

                    Add(offer, identity.Path, offered, certificates, (algorithm, data) =>
                    {
                        using (hold())
                        {
                            return key.Sign(algorithm, data);
                        }
                    });
                });
            }
        }

        if (target.OffersAgentKeys)
        {
            foreach (var key in held.Take(MostAgentKeys))
            {
                if (offer.Add(key.Blob, [], AgentSigner(agent!, [key], key.Blob, hold)!))
                {
                    offer.Names.Add($"{KnownHosts.Fingerprint(key.Blob.AsSpan())} of the agent");
                }
            }
        }

        locked.ForEach(add => add());
        return offer.HostKeyAlgorithms.Count > 0 ? offer
            : offer.LeftOut is [var first, ..] ? throw first
            : throw new SshProblem(
                $"there is no private key to log in with: no agent has one, and {string.Join(", ", target.Identities.Select(each => each.Path))} "
                    + "do not exist",
                "make one with ssh-keygen -t ed25519, or set ssh.identity_file in cluster.yaml"
            );
    }

    private async Task<ImmutableArray<AgentKey>> HeldAsync(SshAgent agent, string socket, KeyOffer offer)
    {
        var answer = await _agents
            .GetOrAdd(socket, _ => new Lazy<Task<AgentAnswer>>(async () =>
            {
                try
                {
                    return new AgentAnswer(await agent.ListAsync().ConfigureAwait(false), null);
                }
                catch (SshProblem problem)
                {
                    return new AgentAnswer([], problem);
                }
            }))
            .Value.ConfigureAwait(false);
        if (answer.Problem is not null)
        {
            offer.LeftOut.Add(answer.Problem);
        }

        return answer.Keys;
    }

    private static void Add(
        KeyOffer offer,
        string path,
        ImmutableArray<byte> key,
        List<(string Path, ImmutableArray<byte> Blob)> certificates,
        Func<string, byte[], byte[]> sign
    )
    {
        var beside = path + "-cert.pub";
        foreach (var (file, blob) in certificates.Append((Path: beside, Blob: PublicKeyFile.Read(beside))))
        {
            if (blob.Length > 0 && CertificateOf(blob, key) is { } certificate && offer.Add(key, blob, sign))
            {
                offer.Names.Add(file);
                offer.Certificates.Add((file, certificate));
            }
        }

        if (offer.Add(key, [], sign))
        {
            offer.Names.Add(path);
        }
    }

    // The certificate, when it is about this key.
    private static Certificate? CertificateOf(ImmutableArray<byte> blob, ImmutableArray<byte> key)
    {
        try
        {
            var certificate = new Certificate([.. blob]);
            var name = KnownHosts.TypeOf(key.AsSpan());
            return new KeyHostAlgorithm(name, certificate.Key).Data.AsSpan().SequenceEqual(key.AsSpan()) ? certificate : null;
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            // A file that only looks like a certificate; ssh leaves it out, too.
            return null;
        }
    }

    private static Func<string, byte[], byte[]>? AgentSigner(
        SshAgent agent,
        ImmutableArray<AgentKey> held,
        ImmutableArray<byte> key,
        Func<IDisposable> hold
    ) =>
        !held.Any(each => each.Blob.AsSpan().SequenceEqual(key.AsSpan()))
            ? null
            : (algorithm, data) =>
            {
                var flags = algorithm switch
                {
                    "rsa-sha2-256" => 2u,
                    "rsa-sha2-512" => 4u,
                    _ => 0u,
                };
                using (hold())
                {
                    return agent.SignAsync(key, data, flags).GetAwaiter().GetResult();
                }
            };

    private sealed record AgentAnswer(ImmutableArray<AgentKey> Keys, SshProblem? Problem);
}
