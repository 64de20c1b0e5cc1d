using System.Globalization;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Certificate;
using KeyBuzz.Reconciler.Providers.PostgreSql;

namespace KeyBuzz.Reconciler.PostgresHa.Status;

/// <summary>The line about TLS: what expires first, and which connections are without it.</summary>
internal sealed partial class StatusJudgement
{
    private StatusItem? Tls()
    {
        if (_topology.Tls is not { } tls)
        {
            return null;
        }

        const string Name = "tls";
        var troubles = new List<(StatusPlace? Place, string Text)>();
        (string Of, DateTimeOffset At)? first = tls.AuthorityEnd is { } last ? ("the authority", last) : null;
        if (Now >= first?.At)
        {
            troubles.Add(
                (null, "the authority has expired, and who verifies it refuses every server: replace it (docs/tls.md, The authority)")
            );
        }

        foreach (var (place, found, served) in Certificates)
        {
            var of = $"{place.Service} on {place.Host}";
            if (found is not { } certificate)
            {
                troubles.Add((place, $"{of} has no certificate"));
                continue;
            }

            if (Now >= certificate.NotAfter)
            {
                troubles.Add((place, $"the certificate of {of} has expired: kbr apply renews it"));
            }

            if (served == ServedTls.Without)
            {
                troubles.Add((place, $"{of} serves no TLS"));
            }
            else if (!served.Certificate.IsEmpty && !served.Certificate.Span.SequenceEqual(certificate.Encoded.Span))
            {
                troubles.Add((place, $"{of} serves another certificate than its file: kbr apply loads it"));
            }

            if (first is null || certificate.NotAfter < first.Value.At)
            {
                first = (of, certificate.NotAfter);
            }
        }

        var (streams, encrypted) = Streams();
        if (tls.HopsRequired && encrypted < streams)
        {
            troubles.Add(
                (new StatusPlace(StatusReads.Patroni, LeaderHost?.Name ?? ""), $"{streams - encrypted} replicas stream without TLS")
            );
        }

        var text =
            (
                first is { } end
                    ? $"first expiry {end.At.UtcDateTime.ToString("yyyy-MM-dd HH:mm", CultureInfo.InvariantCulture)} UTC ({end.Of}); "
                    : ""
            ) + $"{encrypted} of {streams} replicas stream with TLS; {_topology.Store.Kind.Name} and Patroni's REST API speak without";
        return troubles.Count == 0
            ? Item(Name, All, text)
            : new StatusItem(Name, StatusVerdict.NotOk, $"{string.Join("; ", troubles.Select(one => one.Text))}; {text}")
            {
                Places = [.. troubles.Select(one => one.Place).OfType<StatusPlace>()],
            };
    }

    // Of each host that could be read, that of the file and what is served; null where it has none.
    private IEnumerable<(StatusPlace Place, X509Certificate? Certificate, ServedTls Served)> Certificates
    {
        get
        {
            if (_topology.Tls is null)
            {
                yield break;
            }

            foreach (var host in All)
            {
                if (Of(host) is { } snapshot)
                {
                    var service = _topology.Members.Contains(host) ? StatusReads.Patroni : StatusReads.PgBouncer;
                    yield return (
                        new StatusPlace(service, host.Name),
                        X509Certificate.Find(snapshot.Get(_reads.Certificate(host))?.Text ?? ""),
                        snapshot.Get(_reads.Served(host))
                    );
                }
            }
        }
    }

    private (long Streams, long Encrypted) Streams()
    {
        var (streams, encrypted) = (0L, 0L);
        foreach (var member in _topology.Members)
        {
            if (Of(member) is { } snapshot && JsonAnswer.Rows(snapshot.Get(_reads.EncryptedStreams).Json) is [var row, ..])
            {
                streams += row.Number("streams") ?? 0;
                encrypted += row.Number("encrypted") ?? 0;
            }
        }

        return (streams, encrypted);
    }
}
