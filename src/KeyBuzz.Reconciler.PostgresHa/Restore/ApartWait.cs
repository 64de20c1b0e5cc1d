using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.PostgresHa.Restore;

/// <summary>Waits for a database that runs apart.</summary>
/// <param name="server">It.</param>
/// <param name="group">The members.</param>
/// <param name="member">The member that it runs on.</param>
/// <param name="say">Told what happens, a sentence each, for the operator.</param>
internal sealed class ApartWait(ApartServer server, IGroupAccess group, string member, Action<string> say)
{
    private static readonly TimeSpan s_poll = TimeSpan.FromMilliseconds(250);

    // Without a line in its log; the tool and PostgreSQL give up sooner by themselves.
    private static readonly TimeSpan s_silence = TimeSpan.FromMinutes(30);

    /// <summary>Lets it take writes. Throws <see cref="DiagnosticException"/>.</summary>
    public async Task PromoteAsync(CancellationToken cancellationToken)
    {
        await RunAsync(server.Promote(), cancellationToken).ConfigureAwait(false);
        await UntilAsync(look => look.IsPrimary, "the database to take writes", cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Waits until it is as wanted. Throws <see cref="DiagnosticException"/> when it ends, or gets no further.</summary>
    public async Task UntilAsync(Func<ApartLook, bool> isThere, string what, CancellationToken cancellationToken)
    {
        var (said, before) = ("", "");
        var last = await Poll.UntilAsync(
                async () => ApartLook.Of(await RunAsync(server.Look(), cancellationToken).ConfigureAwait(false)),
                look => isThere(look) || !look.IsRunning || look.IsStuck,
                new PollPace(s_poll, s_silence) { SparesSlowHosts = true },
                group.Time,
                cancellationToken,
                look =>
                {
                    var isNew = look.LastLine != before;
                    before = look.LastLine;
                    return isNew;
                },
                look =>
                {
                    if (look.Progress is { } progress && progress != said)
                    {
                        say($"{member}: {progress}");
                        said = progress;
                    }
                }
            )
            .ConfigureAwait(false);
        if (isThere(last))
        {
            return;
        }

        throw new DiagnosticException(
            Diagnostic.Error(
                last.IsStuck
                    ? $"{member}: the restored database pauses before its target"
                    : $"{member}: {server.Container} {(last.IsRunning ? "made no progress" : "ended")} while kbr waited for {what}",
                detail: last.LastLine,
                remedy: $"docker logs {server.Container} on {member} has the whole story",
                host: member
            )
        );
    }

    private async Task<string> RunAsync(Script script, CancellationToken cancellationToken)
    {
        var result = await group.RunAsync(member, script, cancellationToken).ConfigureAwait(false);
        return result.ExitCode == 0
            ? result.Output
            : throw new DiagnosticException(
                Diagnostic.Error($"{member}: {server.Container} could not be asked", detail: result.Error.Trim(), host: member)
            );
    }
}

/// <summary>What a database that runs apart says of itself.</summary>
/// <param name="IsRunning">Whether its container runs.</param>
/// <param name="Answer">The server's answer, of <see cref="ApartServer.Look"/>.</param>
/// <param name="LastLine">The last line of the log.</param>
/// <param name="HasStopped">Whether recovery says that it stopped at its target.</param>
internal sealed record ApartLook(bool IsRunning, string Answer, string LastLine, bool HasStopped)
{
    /// <summary>Whether its server answers.</summary>
    public bool Answers => IsRunning && Answer != "starting";

    /// <summary>Whether it takes writes.</summary>
    public bool IsPrimary => IsRunning && Answer == "f primary";

    /// <summary>Whether it pauses at its target.</summary>
    public bool IsAtTarget => IsRunning && Answer == "t paused" && HasStopped;

    /// <summary>Whether it pauses before its target, for a setting that is too small for what is replayed.</summary>
    public bool IsStuck => IsRunning && Answer == "t paused" && !HasStopped;

    // The tool names each file with the part of the whole that is done.
    /// <summary>How much is restored, in words; null where that is not being done.</summary>
    public string? Progress =>
        LastLine.LastIndexOf(", ", StringComparison.Ordinal) is > 0 and var at && LastLine.EndsWith("%)", StringComparison.Ordinal)
            ? $"{LastLine[(at + 2)..^1].Split('.')[0]} % restored"
            : null;

    /// <summary>Reads what <see cref="ApartServer.Look"/> prints.</summary>
    public static ApartLook Of(string output)
    {
        var lines = output.Split('\n');
        string Line(int at) => at < lines.Length ? lines[at].Trim() : "";
        return new ApartLook(Line(0).StartsWith("running ", StringComparison.Ordinal), Line(1), Line(2), Line(3) is not ("" or "0"));
    }
}
