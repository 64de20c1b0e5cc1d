using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Records;

namespace KeyBuzz.Reconciler.Hosts;

/// <summary>Splits what a <see cref="ProbeScript"/> printed into its parts and reads each.</summary>
internal sealed class ProbeAnswer
{
    private readonly Dictionary<string, (string Status, ReadOnlyMemory<byte> Payload)> _parts = new(StringComparer.Ordinal);
    private readonly ImmutableDictionary<Read, object?>.Builder _answers = ImmutableDictionary.CreateBuilder<Read, object?>();

    private ProbeAnswer(string nonce, ReadOnlyMemory<byte> output)
    {
        var marker = Encoding.ASCII.GetBytes($"\n{nonce} ");
        while (true)
        {
            var at = output.Span.IndexOf(marker);
            if (at < 0)
            {
                break;
            }

            var rest = output[(at + marker.Length)..];
            var end = rest.Span.IndexOf((byte)'\n');
            if (end < 0)
            {
                break;
            }

            var words = Encoding.ASCII.GetString(rest.Span[..end]).Split(' ');
            _parts[words[0]] = (words.Length > 1 ? words[1] : "", output[..at]);
            output = rest[(end + 1)..];
        }

        if (!_parts.ContainsKey("end"))
        {
            throw new InvalidDataException("the host's answer was cut off");
        }
    }

    public static Snapshot Parse(ReadGroups groups, string nonce, ReadOnlyMemory<byte> output)
    {
        var answer = new ProbeAnswer(nonce, output);
        answer.Stats(groups.Of<StatRead>());
        answer.Each(groups.Of<FileRead>(), "f", (status, payload) => status == "0" ? new FileContent(payload) : null);
        answer.Each(groups.Of<BlockDeviceRead>(), "b", Device);
        answer.Each(groups.Of<DiskSpaceRead>(), "s", Space);
        answer.RecordFolders(groups.Of<RecordsRead>());
        foreach (var read in groups.Of<MountsRead>())
        {
            answer._answers[read] = answer.Mounts();
        }

        foreach (var read in groups.Of<LockRead>())
        {
            answer._answers[read] = answer.Lock();
        }

        foreach (var read in groups.Of<ClockRead>())
        {
            answer._answers[read] = answer.Clock();
        }

        List<Read> docker = [.. groups.Of<ContainerRead>(), .. groups.Of<ImageRead>()];
        answer.Each(docker, "d", (status, payload) =>
            int.TryParse(status, CultureInfo.InvariantCulture, out var code) && code > 0
                ? new DockerAnswer(code, Encoding.UTF8.GetString(payload.Span))
                : new DockerAnswer(0, "")
        );
        answer.Each(groups.Of<HttpRead>(), "h", (status, payload) =>
            int.TryParse(status, CultureInfo.InvariantCulture, out var code) && code > 0
                ? new HttpAnswer(code, Encoding.UTF8.GetString(payload.Span))
                : new HttpAnswer(0, "")
        );
        answer.Each(groups.Of<HaproxyCheckRead>(), "k", Tool);
        var containers = ProbeScript.ContainersOf(groups);
        answer.Tools(groups.Of<PoolerRead>(), "o", read => containers.IndexOf(read.Container));
        answer.Tools(groups.Of<RaftRead>(), "a", read => containers.IndexOf(read.Container));
        answer.Queries(groups.Of<SqlRead>(), containers);
        answer.Units(groups.Of<UnitRead>());
        foreach (var read in groups.Of<ServicesRead>())
        {
            answer._answers[read] = answer.Services();
        }

        answer.Ports(groups.Of<PortRead>());
        return new Snapshot(answer._answers.ToImmutable());
    }

    private void Each<TRead>(IReadOnlyList<TRead> reads, string label, Func<string, ReadOnlyMemory<byte>, object?> parse)
        where TRead : Read
    {
        for (var i = 0; i < reads.Count; i++)
        {
            var (status, payload) = Part(label + i.ToString(CultureInfo.InvariantCulture));
            _answers[reads[i]] = parse(status, payload);
        }
    }

    private (string Status, ReadOnlyMemory<byte> Payload) Part(string label) =>
        _parts.TryGetValue(label, out var part) ? part : ("", default);

    private static string[] Lines(ReadOnlyMemory<byte> payload) =>
        Encoding.UTF8.GetString(payload.Span).Split('\n', StringSplitOptions.RemoveEmptyEntries);

    private void Stats(IReadOnlyList<StatRead> reads)
    {
        Dictionary<string, FileStat> found = new(StringComparer.Ordinal);
        foreach (var line in Lines(Part("stat").Payload))
        {
            var fields = line.Split('\t', 8);
            if (fields.Length == 8)
            {
                // stat(1) calls an empty file another kind of thing; to kbr it is a file.
                var kind = fields[0] == "regular empty file" ? "regular file" : fields[0];
                found[fields[7]] = new FileStat(
                    kind,
                    Number(fields[1]),
                    Number(fields[2]),
                    fields[3],
                    fields[4],
                    fields[5].PadLeft(4, '0'),
                    Time(fields[6])
                );
            }
        }

        foreach (var read in reads)
        {
            _answers[read] = found.GetValueOrDefault(read.Path);
        }
    }

    private void RecordFolders(IReadOnlyList<RecordsRead> reads)
    {
        foreach (var (number, read) in reads.Index())
        {
            var directory = RecordScript.Directory(read.Cluster);
            var paths = Lines(Part("r" + number.ToString(CultureInfo.InvariantCulture)).Payload)
                .Select(line => line.Split('\t', 4))
                .Where(fields => fields.Length == 4)
                .Select(fields => new RecordPath(
                    fields[3],
                    fields[0] == "regular empty file" ? "regular file" : fields[0],
                    Number(fields[1]),
                    fields[2].PadLeft(4, '0')
                ))
                .ToList();
            var rest = Encoding.UTF8.GetString(Part("rf" + number.ToString(CultureInfo.InvariantCulture)).Payload.Span);
            var files = ImmutableArray.CreateBuilder<RecordFile>();
            List<RecordPath> regular = [.. paths.Where(path => path.Kind == "regular file")];
            foreach (var path in paths.Where(path => path.Path.StartsWith(directory + "/", StringComparison.Ordinal)))
            {
                files.Add(new RecordFile(path, path.Kind == "regular file" ? TextOf(regular, path, rest) : ""));
            }

            _answers[read] = new RecordsFolder([.. paths.Where(path => HostPath.IsIn(directory, path.Path))], files.ToImmutable());
        }
    }

    // head writes "==> NAME <==" above each file, with an empty line between two of them.
    private static string TextOf(List<RecordPath> files, RecordPath file, string said)
    {
        var index = files.IndexOf(file);
        var header = $"==> {file.Path} <==\n";
        var at =
            index == 0
                ? (said.StartsWith(header, StringComparison.Ordinal) ? 0 : -1)
                : said.IndexOf("\n" + header, StringComparison.Ordinal) + 1;
        if (at < 0 || (index > 0 && at == 0))
        {
            return "";
        }

        var begin = at + header.Length;
        var end =
            index + 1 < files.Count ? said.IndexOf($"\n==> {files[index + 1].Path} <==\n", begin, StringComparison.Ordinal) : said.Length;
        return said[begin..(end < 0 ? said.Length : end)].Trim();
    }

    private LockState Lock()
    {
        var lines = Lines(Part("lock").Payload).ToLookup(line => line.StartsWith("pid ", StringComparison.Ordinal));
        return new LockState(
            [.. lines[true].Select(line => int.Parse(line.AsSpan(4), CultureInfo.InvariantCulture)).Distinct()],
            LockHolder.Read(Encoding.UTF8.GetBytes(string.Concat(lines[false])))
        );
    }

    private List<MountEntry> Mounts()
    {
        List<MountEntry> mounts = [];
        foreach (var line in Lines(Part("mounts").Payload))
        {
            // 36 35 98:0 /root /mount/point rw,noatime shared:1 - ext4 /dev/sda1 rw,errors=continue
            var fields = line.Split(' ');
            var dash = Array.IndexOf(fields, "-", Math.Min(6, fields.Length));
            if (dash > 0 && fields.Length >= dash + 4)
            {
                mounts.Add(
                    new MountEntry(
                        Octal(fields[4]),
                        Octal(fields[dash + 2]),
                        fields[2],
                        fields[dash + 1],
                        $"{fields[5]},{fields[dash + 3]}"
                    )
                );
            }
        }

        return mounts;
    }

    // The kernel writes space, tab, newline and backslash as \ooo.
    private static string Octal(string text)
    {
        if (!text.Contains('\\', StringComparison.Ordinal))
        {
            return text;
        }

        var result = new StringBuilder();
        for (var i = 0; i < text.Length; i++)
        {
            if (text[i] == '\\' && i + 3 < text.Length && text.AsSpan(i + 1, 3).IndexOfAnyExceptInRange('0', '7') < 0)
            {
                result.Append((char)(((text[i + 1] - '0') * 64) + ((text[i + 2] - '0') * 8) + (text[i + 3] - '0')));
                i += 3;
            }
            else
            {
                result.Append(text[i]);
            }
        }

        return result.ToString();
    }

    private static BlockDeviceState Device(string status, ReadOnlyMemory<byte> payload)
    {
        var lines = Lines(payload);
        if (status == "none" || lines.Length < 3)
        {
            return new BlockDeviceState(false, null, ImmutableDictionary<string, string>.Empty, false, 0);
        }

        var tags = ImmutableSortedDictionary.CreateBuilder<string, string>(StringComparer.Ordinal);
        foreach (var line in lines.Skip(3))
        {
            var equals = line.IndexOf('=', StringComparison.Ordinal);
            if (equals > 0 && line[..equals] != "DEVNAME")
            {
                tags[line[..equals]] = Unescape(line[(equals + 1)..]);
            }
        }

        // 2 is "nothing recognised". Anything else that is not success must not look like an empty device.
        switch (status)
        {
            case "0" or "2":
                break;
            case "8":
                tags["AMBIVALENT"] = "yes";
                break;
            default:
                tags["PROBE_FAILED"] = $"blkid exit {status}";
                break;
        }

        var numbers = lines[0].Split(' ');
        var device =
            numbers.Length == 2
            && int.TryParse(numbers[0], NumberStyles.HexNumber, CultureInfo.InvariantCulture, out var major)
            && int.TryParse(numbers[1], NumberStyles.HexNumber, CultureInfo.InvariantCulture, out var minor)
                ? string.Create(CultureInfo.InvariantCulture, $"{major}:{minor}")
                : null;
        _ = long.TryParse(lines[1], CultureInfo.InvariantCulture, out var size);
        return new BlockDeviceState(true, device, tags.ToImmutable(), lines[2] == "zero", size);
    }

    private static string Unescape(string value)
    {
        var result = new StringBuilder(value.Length);
        for (var i = 0; i < value.Length; i++)
        {
            if (value[i] == '\\' && i + 1 < value.Length)
            {
                i++;
            }

            result.Append(value[i]);
        }

        return result.ToString();
    }

    private static DiskSpace? Space(string status, ReadOnlyMemory<byte> payload)
    {
        var words = status == "0" ? Lines(payload).Last().Split(' ', StringSplitOptions.RemoveEmptyEntries) : [];
        return
            words.Length == 3
            && long.TryParse(words[0], CultureInfo.InvariantCulture, out var size)
            && long.TryParse(words[1], CultureInfo.InvariantCulture, out var available)
            ? new DiskSpace(size, available, words[2])
            : null;
    }

    private void Units(IReadOnlyList<UnitRead> reads)
    {
        if (reads.Count == 0)
        {
            return;
        }

        // Matched by name and not by position: a name that systemd refuses leaves no block.
        Dictionary<string, ImmutableDictionary<string, string>> byName = new(StringComparer.Ordinal);
        foreach (var block in Encoding.UTF8.GetString(Part("units").Payload.Span).Split("\n\n"))
        {
            var properties = ImmutableDictionary.CreateBuilder<string, string>(StringComparer.Ordinal);
            foreach (var line in block.Split('\n'))
            {
                var equals = line.IndexOf('=', StringComparison.Ordinal);
                if (equals > 0)
                {
                    properties[line[..equals]] = line[(equals + 1)..];
                }
            }

            var found = properties.ToImmutable();
            foreach (
                var name in (found.GetValueOrDefault("Names") + " " + found.GetValueOrDefault("Id")).Split(
                    ' ',
                    StringSplitOptions.RemoveEmptyEntries
                )
            )
            {
                byName[name] = found;
            }
        }

        var files = Lines(Part("unitfiles").Payload);
        foreach (var read in reads)
        {
            var properties = byName.GetValueOrDefault(read.Name)
                ?? byName.GetValueOrDefault(read.Name + ".service")
                ?? ImmutableDictionary<string, string>.Empty;
            // One that is loaded and whose file is gone still counts.
            var loaded = properties.GetValueOrDefault("DropInPaths", "").Split(' ', StringSplitOptions.RemoveEmptyEntries);
            _answers[read] = new UnitState(properties)
            {
                DropIns = [.. files.Concat(loaded).Where(path => IsDropIn(path, read.Name)).Distinct().Order(StringComparer.Ordinal)],
                StartedWith =
                [
                    .. files
                        .Where(path => path.EndsWith("/" + read.Name, StringComparison.Ordinal))
                        .Select(Target)
                        .Distinct()
                        .Order(StringComparer.Ordinal),
                ],
            };
        }
    }

    private static bool IsDropIn(string path, string unit) =>
        path.Contains($"/{unit}.d/", StringComparison.Ordinal)
        && (
            path.StartsWith("/etc/systemd/", StringComparison.Ordinal)
            || (
                path.StartsWith("/run/systemd/", StringComparison.Ordinal)
                && !path.StartsWith("/run/systemd/generator", StringComparison.Ordinal)
            )
        );

    // /etc/systemd/system/multi-user.target.wants/patroni.service
    private static string Target(string link) => Path.GetFileNameWithoutExtension(Path.GetFileName(Path.GetDirectoryName(link)!));

    private List<ServiceState> Services()
    {
        var clients = Lines(Part("clients").Payload)
            .Select(line => line.Split(' ', 2))
            .Where(pair => pair.Length == 2)
            .ToLookup(pair => pair[0], pair => pair[1].Trim());
        List<ServiceState> services = [];
        foreach (var block in Encoding.UTF8.GetString(Part("services").Payload.Span).Split("\n\n"))
        {
            var properties = block.Split('\n').Select(line => line.Split('=', 2)).Where(pair => pair.Length == 2).ToList();
            if (properties.Find(pair => pair[0] == "Id") is { } id)
            {
                var commands = properties
                    .Where(pair => pair[0].StartsWith("Exec", StringComparison.Ordinal))
                    .Select(pair => new ServiceCommand(pair[0], Command(pair[1])));
                services.Add(
                    new ServiceState(id[1], properties.Find(pair => pair[0] == "LoadState")?[1] ?? "", [.. commands], [.. clients[id[1]]])
                );
            }
        }

        return services;
    }

    // { path=/usr/bin/docker ; argv[]=/usr/bin/docker stop haproxy ; ignore_errors=no ; … }
    private static string Command(string text)
    {
        const string Begin = "argv[]=";
        var begin = text.IndexOf(Begin, StringComparison.Ordinal);
        var end = text.LastIndexOf(" ; ignore_errors=", StringComparison.Ordinal);
        return begin >= 0 && end > begin ? text[(begin + Begin.Length)..end] : text;
    }

    private void Ports(IReadOnlyList<PortRead> reads)
    {
        var states = Lines(Part("ports").Payload)
            .Select(line => line.Split(' '))
            .Where(words => words.Length == 2)
            .ToDictionary(words => words[0], words => words[1], StringComparer.Ordinal);
        for (var i = 0; i < reads.Count; i++)
        {
            _answers[reads[i]] = states.GetValueOrDefault(i.ToString(CultureInfo.InvariantCulture)) switch
            {
                "answered" => PortState.Answered,
                "refused" => PortState.Refused,
                _ => PortState.Silent,
            };
        }
    }

    private static ToolAnswer Tool(string status, ReadOnlyMemory<byte> payload) =>
        new(int.TryParse(status, CultureInfo.InvariantCulture, out var code) ? code : -1, Encoding.UTF8.GetString(payload.Span));

    // A tool that was not reached has no part of its own: what docker said of the container stands for it.
    private void Tools<TRead>(IReadOnlyList<TRead> reads, string label, Func<TRead, int> container)
        where TRead : Read
    {
        for (var i = 0; i < reads.Count; i++)
        {
            var part = Part(string.Create(CultureInfo.InvariantCulture, $"{label}{i}"));
            if (part.Status.Length == 0)
            {
                part = Part(string.Create(CultureInfo.InvariantCulture, $"x{container(reads[i])}"));
            }

            _answers[reads[i]] = Tool(part.Status, part.Payload);
        }
    }

    private void Queries(IReadOnlyList<SqlRead> reads, List<string> containers)
    {
        for (var i = 0; i < reads.Count; i++)
        {
            var (status, payload) = Part($"q{i}");
            if (status == "false")
            {
                _answers[reads[i]] = new SqlAnswer(Encoding.UTF8.GetString(payload.Span).Trim(), "");
                continue;
            }

            // A query that was not reached has no part of its own: psql's or docker's last words say why.
            var first = reads
                .ToList()
                .FindIndex(read =>
                    (read.Container, read.User, read.Database, read.Port)
                    == (reads[i].Container, reads[i].User, reads[i].Database, reads[i].Port)
                );
            var words = status.Length > 0 ? payload : Part($"p{first}").Payload;
            var error = Encoding.UTF8.GetString(words.Span).Trim();
            if (error.Length == 0)
            {
                error = Encoding.UTF8.GetString(Part($"x{containers.IndexOf(reads[i].Container)}").Payload.Span).Trim();
            }

            _answers[reads[i]] = new SqlAnswer(null, error.Length > 0 ? error : "no answer");
        }
    }

    private ClockState Clock()
    {
        var said = Lines(Part("clock").Payload)
            .Select(line => line.Split('=', 2))
            .Where(pair => pair.Length == 2)
            .ToDictionary(pair => pair[0], pair => pair[1], StringComparer.Ordinal);
        var now = Time(said.GetValueOrDefault("now") ?? "0");
        if (said.GetValueOrDefault("kernel") == "yes")
        {
            return new ClockState(true, "the kernel, by timedated", now);
        }

        if (said.TryGetValue("chrony", out var leap))
        {
            return new ClockState(!leap.Trim().StartsWith("Not", StringComparison.Ordinal), "chrony", now);
        }

        if (said.ContainsKey("timesyncd"))
        {
            return new ClockState(true, "systemd-timesyncd", now);
        }

        // Inside a container the clock is kept, or not, by the machine beneath, in ways that cannot be seen from here.
        if (said.ContainsKey("container"))
        {
            return new ClockState(null, "a container's clock is its machine's, which cannot be read from here", now);
        }

        return said.GetValueOrDefault("kernel") == "no"
            ? new ClockState(false, "the kernel, by timedated", now)
            : new ClockState(null, "neither timedated nor chrony nor systemd-timesyncd answers", now);
    }

    private static int Number(string text) => int.TryParse(text, CultureInfo.InvariantCulture, out var number) ? number : -1;

    private static DateTimeOffset Time(string seconds) =>
        decimal.TryParse(seconds, CultureInfo.InvariantCulture, out var value)
            ? DateTimeOffset.UnixEpoch.AddTicks((long)(value * TimeSpan.TicksPerSecond))
            : DateTimeOffset.UnixEpoch;
}
