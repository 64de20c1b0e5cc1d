using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Http;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.PatroniCluster;

/// <summary>The unsafe calls of a member's REST API, through the connection of this run.</summary>
internal sealed class PatroniRest(IGroupAccess group, ClusterConnection connection)
{
    // Patroni answers these calls with a line; whatever else listens there does not fill the memory.
    private const int LargestAnswer = 4 * 1024 * 1024;

    /// <summary>Makes one call. Throws <see cref="TransientFailureException"/> when there is no answer,
    /// <see cref="ChangeFailedException"/> when the credentials are refused.</summary>
    /// <param name="host">The member.</param>
    /// <param name="method">PATCH or POST.</param>
    /// <param name="path">The path.</param>
    /// <param name="json">The body.</param>
    /// <param name="timeout">How long the answer may take.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public async Task<HttpAnswer> SendAsync(
        string host,
        string method,
        string path,
        ReadOnlyMemory<byte> json,
        TimeSpan timeout,
        CancellationToken cancellationToken
    )
    {
        using var limit = new CancellationTokenSource(timeout, group.Time);
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, limit.Token);
        // It listens on the member's own address only.
        var address = group.Members.First(member => member.Name == host).Address;
        var tunnel = await group.OpenTunnelAsync(host, address, connection.RestPort, cancellationToken).ConfigureAwait(false);
        await using (tunnel.ConfigureAwait(false))
        {
            try
            {
                var answer = await PlainHttp
                    .SendAsync(
                        tunnel.Port,
                        method,
                        path,
                        connection.RestUser is { } user ? $"{user}:{connection.RestPassword}" : null,
                        json,
                        LargestAnswer,
                        patience.Token
                    )
                    .ConfigureAwait(false);
                return answer.Status is not (401 or 403)
                    ? answer
                    : throw new ChangeFailedException(
                        $"{host}: Patroni's REST API refuses "
                            + $"{(connection.RestUser is null ? "calls without credentials" : $"the user '{connection.RestUser}' with this password")}: "
                            + "set rest_user and rest_password to the values of restapi.authentication in patroni.yml"
                    );
            }
            catch (IOException)
            {
                throw new TransientFailureException($"{host}: Patroni's REST API does not answer on port {connection.RestPort}");
            }
            catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
            {
                throw new TransientFailureException($"{host}: Patroni's REST API did not answer within {timeout.TotalSeconds:0} s");
            }
        }
    }
}
