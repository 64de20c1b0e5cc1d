using System.Buffers;
using System.Collections.Immutable;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Providers.Docker;

/// <summary>A read that a program inside a container answers.</summary>
public interface IContainerRead
{
    /// <summary>The container's name.</summary>
    string Container { get; }
}

/// <summary>How the reads of one kind are asked and answered inside a container.</summary>
public sealed class ContainerReadKind
{
    private readonly Action<ProbeText, IReadOnlyList<(int Number, Read Read)>> _render;
    private readonly Action<ProbeAnswer, IReadOnlyList<Read>, Func<IContainerRead, ProbePart>> _parse;

    private ContainerReadKind(
        Type type,
        Action<ProbeText, IReadOnlyList<(int Number, Read Read)>> render,
        Action<ProbeAnswer, IReadOnlyList<Read>, Func<IContainerRead, ProbePart>> parse
    )
    {
        Type = type;
        _render = render;
        _parse = parse;
    }

    /// <summary>The type of its reads.</summary>
    public Type Type { get; }

    /// <summary>A kind of read.</summary>
    /// <param name="render">Writes the shell that answers the reads of one container, inside it; each has its number among all reads of the
    /// kind.</param>
    /// <param name="parse">Gives each read its answer; for one that was not reached the part of its container says why.</param>
    public static ContainerReadKind Of<TRead>(
        Action<ProbeText, IReadOnlyList<(int Number, TRead Read)>> render,
        Action<ProbeAnswer, IReadOnlyList<TRead>, Func<IContainerRead, ProbePart>> parse
    )
        where TRead : Read, IContainerRead =>
        new(
            typeof(TRead),
            (script, reads) => render(script, [.. reads.Select(one => (one.Number, (TRead)one.Read))]),
            (answer, reads, container) => parse(answer, [.. reads.Cast<TRead>()], container)
        );

    internal void Render(ProbeText script, IReadOnlyList<(int Number, Read Read)> reads)
    {
        if (reads.Count > 0)
        {
            _render(script, reads);
        }
    }

    internal void Parse(ProbeAnswer answer, IReadOnlyList<Read> reads, Func<IContainerRead, ProbePart> container) =>
        _parse(answer, reads, container);
}

/// <summary>One exec for all reads inside a container: an exec costs more than all its questions. The execs run beside each other, and
/// beside the rest of the probe; so do the kinds of reads within one. They go to Docker Engine's API itself (<c>POST
/// /containers/NAME/exec</c>, <c>POST /exec/ID/start</c>), because starting the docker command costs more than the exec.</summary>
public static class ContainerExec
{
    // The ports run beside the rest, too.
    private const int KeptFree = 1;

    // Linux takes 128 KiB in one argument (MAX_ARG_STRLEN), and a character has up to 3 bytes.
    private const int LongestArgument = 40_000;

    private const string Curl =
        "curl -q -s -m 40 --globoff --noproxy '*' --unix-socket /run/docker.sock -H 'Content-Type: application/json'";

    // It is read by Docker Engine only, and a plan's probe can be printed.
    private static readonly JsonWriterOptions s_readable = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>The kind of all reads inside containers.</summary>
    /// <param name="kinds">Their kinds, in the order in which a container answers them.</param>
    public static ReadKind Of(params ImmutableArray<ContainerReadKind> kinds)
    {
        return ReadKind.Of<Read>([.. kinds.Select(kind => kind.Type)], null, Parse, Start);

        string Start(ProbeText script, IReadOnlyList<Read> reads)
        {
            var execs = ContainersOf(reads).Select((container, number) => Exec(script, reads, container, number)).ToList();
            var alone = Math.Min(execs.Count, Math.Max(1, script.FreeBeside - KeptFree)) - 1;
            return string.Concat(execs.Take(alone).Append(string.Concat(execs.Skip(alone))).Select(script.RunBeside));
        }

        string Exec(ProbeText script, IReadOnlyList<Read> reads, string container, int number)
        {
            var inside = new ProbeText(script.Nonce, script.OwnAddress)
                .Append($"unset IFS; end() {{ printf '\\n{script.Nonce} %s %s\\n' \"$1\" \"$2\"; }}\n")
                .Append(
                    "PGOPTIONS='-c default_transaction_read_only=on -c statement_timeout=10s'; PGCONNECT_TIMEOUT=5; "
                        + "export PGOPTIONS PGCONNECT_TIMEOUT\n"
                );
            // Programs and queries are asked at once: starting Python takes longer than every query. Each answer is printed as soon as
            // those before it are complete, so one that hangs costs no earlier one.
            var parts = kinds.Select(kind => Part(script, kind, reads, container)).Where(part => part.Length > 0).ToList();
            var answers = parts.Count > 1 ? parts.Select(inside.RunBeside).ToList() : parts;
            inside.Append(string.Concat(answers)).EndBeside();

            // Without a terminal the engine puts a binary header before every piece of output; a terminal only ends lines with \r\n.
            return new ProbeText(script.Nonce, script.OwnAddress)
                .Append($"{{ c=$({Curl} -d @- 'http://localhost/containers/{DockerRead.Escape(container)}/exec' <<'{script.Nonce}_sh'\n")
                .Append($"{Request(inside.ToString())}\n{script.Nonce}_sh\n)\n")
                .Append("case $c in '{\"Id\":\"'*) c=${c#*:\\\"}\n")
                .Append($"{Curl} -N -d '{{\"Tty\":true}}' \"http://localhost/exec/${{c%%\\\"*}}/start\";;\n")
                .Append("'') echo 'Docker Engine does not answer'; false;;\n")
                .Append("*) c=${c#*'\"message\":\"'}; printf 'Error response from daemon: %s\\n' \"${c%\\\"*}\"; false;; esac\n")
                .Append($"end x{number} $?\n}} | tr -d '\\r'\n")
                .ToString();
        }

        // The shell that is run inside, in as many arguments as it needs.
        static string Request(string shell)
        {
            var buffer = new ArrayBufferWriter<byte>();
            using (var json = new Utf8JsonWriter(buffer, s_readable))
            {
                json.WriteStartObject();
                json.WriteBoolean("AttachStdout", true);
                json.WriteBoolean("AttachStderr", true);
                json.WriteBoolean("Tty", true);
                json.WriteStartArray("Cmd");
                foreach (var word in (string[])["sh", "-c", "IFS=; eval \"$*\"", "sh"])
                {
                    json.WriteStringValue(word);
                }

                for (var (begin, end) = (0, 0); begin < shell.Length; begin = end)
                {
                    end = Math.Min(begin + LongestArgument, shell.Length);
                    end -= char.IsHighSurrogate(shell[end - 1]) ? 1 : 0;
                    json.WriteStringValue(shell.AsSpan(begin, end - begin));
                }

                json.WriteEndArray();
                json.WriteEndObject();
            }

            return Encoding.UTF8.GetString(buffer.WrittenSpan);
        }

        static string Part(ProbeText script, ContainerReadKind kind, IReadOnlyList<Read> reads, string container)
        {
            var part = new ProbeText(script.Nonce, script.OwnAddress);
            kind.Render(part, [.. OfKind(kind, reads).Index().Where(one => ((IContainerRead)one.Item).Container == container)]);
            return part.ToString();
        }

        void Parse(ProbeAnswer answer, IReadOnlyList<Read> reads)
        {
            var containers = ContainersOf(reads);
            foreach (var kind in kinds)
            {
                kind.Parse(answer, [.. OfKind(kind, reads)], read => answer.Part($"x{containers.IndexOf(read.Container)}"));
            }
        }
    }

    private static IEnumerable<Read> OfKind(ContainerReadKind kind, IReadOnlyList<Read> reads) =>
        reads.Where(read => read.GetType() == kind.Type);

    private static List<string> ContainersOf(IReadOnlyList<Read> reads) =>
        [.. reads.Cast<IContainerRead>().Select(read => read.Container).Distinct()];
}
