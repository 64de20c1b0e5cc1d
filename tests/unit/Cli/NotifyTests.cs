using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;
using KeyBuzz.Reconciler.Cli.Blueprints.Postgres;
using KeyBuzz.Reconciler.Cli.Commands;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.PostgresHa.Status;
using KeyBuzz.Reconciler.Resources;
using KeyBuzz.Reconciler.Tests.Ssh;

namespace KeyBuzz.Reconciler.Tests.Cli;

/// <summary>docs/ci/kbr-notify, in a real shell with the real curl, against a web server or a mail server that takes its
/// messages.</summary>
[TestFixture]
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
internal sealed class NotifyTests
{
    private static readonly string s_script = Path.Combine(JsonSchemas.Root, "docs/ci/kbr-notify");

    private readonly List<(string Key, string Body)> _messages = [];
    private string _folder = "";
    private HttpListener? _server;
    private HttpStatusCode _answer;
    private (string Name, string Value)[] _environment = [];

    [SetUp]
    public void SetUp()
    {
        _folder = Directory.CreateTempSubdirectory("kbr-notify-").FullName;
        Directory.CreateDirectory($"{_folder}/bin");
        File.WriteAllText(
            $"{_folder}/bin/kbr",
            $"""
            #!/bin/sh
            [ "$2 $3 $4" = '--format json --out' ] || exit 9
            [ ! -s '{_folder}/report' ] || cp '{_folder}/report' "$5"
            cat '{_folder}/said'; exit "$(cat '{_folder}/code')"

            """
        );
        File.SetUnixFileMode($"{_folder}/bin/kbr", UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        _messages.Clear();
        _answer = HttpStatusCode.OK;
        Environment(("WEBHOOK_FILE", $"{_folder}/webhook"));
        File.WriteAllText($"{_folder}/webhook", $"http://127.0.0.1:{SshServer.FreePort()}/canary-of-the-url\n");
        _server = new HttpListener();
        _server.Prefixes.Add(File.ReadAllText($"{_folder}/webhook").Trim() + "/");
        _server.Start();
        _ = TakeAsync(_server);
    }

    [TearDown]
    public void TearDown()
    {
        _server?.Close();
        Directory.Delete(_folder, recursive: true);
    }

    [Test]
    public void It_posts_when_a_verdict_changes_and_never_for_a_figure_that_grows()
    {
        Assert.That(Status([], 3, Lag(StatusVerdict.Ok, "0 bytes")), Is.Empty, "all is well the first time");
        Assert.That(
            Status([], 2, Lag(StatusVerdict.NotOk, "\"db-2\" 12 MiB behind")),
            Is.EqualTo(
                new[]
                {
                    """{"text": "kbr status: pg is not healthy. Writes: OK. Redundancy: 2 of 3. Cause: lag: \"db-2\" 12 MiB behind."}""",
                }
            )
        );
        Assert.That(Status([], 2, Lag(StatusVerdict.NotOk, "\"db-2\" 1.5 GiB behind, for 17 min")), Is.Empty);
        Assert.That(Status([], 1, Lag(StatusVerdict.NotOk, "\"db-2\" 1.5 GiB behind")), Has.Length.EqualTo(1), "the redundancy");
        Assert.That(Status(["db-2"], 1, Lag(StatusVerdict.NotOk, "unknown")), Has.Length.EqualTo(1));
        Assert.That(Status(["db-3"], 1, Lag(StatusVerdict.NotOk, "unknown")), Has.Length.EqualTo(1), "another host");
        Assert.That(Status([], 1, Units("lb-1")), Has.Length.EqualTo(1));
        Assert.That(Status([], 1, Units("lb-2")), Has.Length.EqualTo(1), "another host");
        Assert.That(Status([], 1, Units("lb-2")), Is.Empty);
        Assert.That(Says(2, "3 changes", "drift"), Has.Length.EqualTo(1), "it has a state of its own, and begins with trouble");
        Assert.That(Status([], 3, Lag(StatusVerdict.Ok, "0 bytes")), Has.Length.EqualTo(1));
        Assert.That(Status([], 3, Lag(StatusVerdict.Ok, "7 bytes")), Is.Empty);
    }

    [Test]
    public void It_posts_when_writes_stop_while_another_line_was_not_ok_before()
    {
        Assert.That(Status([], 3, Lag(StatusVerdict.NotOk, "12 MiB behind")), Has.Length.EqualTo(1));
        Assert.That(
            Status([], 3, Lag(StatusVerdict.NotOk, "12 MiB behind"), StatusVerdict.NotOk),
            Has.Length.EqualTo(1).And.One.Contains("Writes: NOT OK")
        );
        Assert.That(Status([], 3, Lag(StatusVerdict.NotOk, "13 MiB behind"), StatusVerdict.NotOk), Is.Empty);
    }

    [Test]
    public void Each_resource_that_was_changed_by_hand_makes_a_message_with_the_sum_and_the_first_of_them()
    {
        Assert.That(
            Drift([Found("a")]),
            Is.EqualTo(new[] { """{"text": "kbr drift: 1 changed, 0 deleted; 7 compared: config_file.a@db-1"}""" })
        );
        Assert.That(Drift([Found("a")]), Is.Empty);
        Assert.That(Drift([Found("b")]), Has.Length.EqualTo(1));
        Assert.That(
            Drift([Found("a", ignored: "ticket 7"), Found("b"), Found("c", deleted: true), Found("d", "db-2"), Found("e", "db-2")]),
            Is.EqualTo(
                new[]
                {
                    "{\"text\": \"kbr drift: 3 changed, 1 deleted, 1 ignored; 7 compared: "
                        + "config_file.b@db-1, config_file.c@db-1, config_file.d@db-2\"}",
                }
            )
        );
        Assert.That(Drift([]), Is.EqualTo(new[] { """{"text": "kbr drift: 0 changed, 0 deleted; 7 compared"}""" }));
    }

    [Test]
    public void A_comparison_that_is_incomplete_is_told_by_its_error()
    {
        Assert.That(
            Drift([Found("a")], Diagnostic.Warning("no resource matches 'x'"), Diagnostic.Error("db-2: no route", remedy: "ping db-2")),
            Is.EqualTo(new[] { """{"text": "kbr drift: Error: db-2: no route; 1 changed, 0 deleted; 7 compared: config_file.a@db-1"}""" })
        );
        Assert.That(
            Drift(DriftReport.Failed("cluster.yaml", [Diagnostic.Error("cluster.yaml has no 'cluster'")], DateTimeOffset.UnixEpoch)),
            Is.EqualTo(new[] { """{"text": "kbr drift: Error: cluster.yaml has no 'cluster'; 0 changed, 0 deleted; 0 compared"}""" })
        );
        Assert.That(Says(1, "Error: kbr has no option --wrong\n", "drift"), Has.Length.EqualTo(1).And.One.Contains("no option --wrong\"}"));
    }

    [Test]
    public void What_cannot_be_posted_is_posted_later_each_once_in_its_order()
    {
        _answer = HttpStatusCode.ServiceUnavailable;
        Assert.That(Says(2, "down", exitCode: 1), Has.Length.EqualTo(1), "tried");
        _answer = HttpStatusCode.Found;
        Assert.That(Says(2, "down", exitCode: 1), Has.Length.EqualTo(1), "a redirection delivers nothing");
        Assert.That(Says(2, "down", exitCode: 1), Has.Length.EqualTo(1));
        Assert.That(Says(0, "up again", exitCode: 1), Has.Length.EqualTo(1), "the first one is tried first");
        Assert.That(_messages.Select(message => message.Key).Distinct().ToArray(), Has.Length.EqualTo(1));
        _answer = HttpStatusCode.NoContent;
        Assert.That(Says(0, "up again"), Is.EqualTo(new[] { "{\"text\": \"kbr status: down\"}", "{\"text\": \"kbr status: up again\"}" }));
        Assert.That(Says(0, "up again"), Is.Empty);
    }

    [Test]
    public void A_message_that_is_refused_for_good_is_kept_aside_and_stops_none_after_it()
    {
        _answer = HttpStatusCode.ServiceUnavailable;
        Assert.That(Says(2, "down", exitCode: 1), Has.Length.EqualTo(1));
        _answer = HttpStatusCode.BadRequest;
        Assert.That(Says(2, "down", exitCode: 1), Has.Length.EqualTo(1));
        Assert.That(Directory.GetFiles($"{_folder}/state/refused"), Has.Length.EqualTo(1));
        _answer = HttpStatusCode.OK;
        Assert.That(Says(2, "down"), Is.Empty, "it was said");
        Assert.That(Says(0, "up again"), Is.EqualTo(new[] { "{\"text\": \"kbr status: up again\"}" }));
    }

    [Test]
    public void A_mail_arrives_once_with_a_login_by_a_file_and_is_the_same_when_it_is_tried_again()
    {
        using var server = new MailServer();
        Environment(
            ("MAIL_TO", "ops@example.com, night@example.com"),
            ("MAIL_FROM", "kbr@install-01.example.com"),
            ("SMTP_FILE", $"{_folder}/smtp")
        );
        File.WriteAllText($"{_folder}/smtp", $"url = \"smtp://127.0.0.1:{server.Port}\"\nuser = \"kbr:canary-of-the-mail\"\n");
        server.Answer = "451 4.3.2 try again later";
        Says(2, "pg is not healthy. Grüße & <b>", exitCode: 1);
        server.Answer = null;
        Says(2, "pg is not healthy. Grüße & <b>", exitCode: 1);
        Assert.That(server.Letters, Is.Empty, "no answer is no delivery");
        server.Answer = "250 2.0.0 taken";
        Says(0, "pg is healthy.");
        Says(0, "pg is healthy.");
        Assert.That(server.Letters, Has.Count.EqualTo(2), "each once, in its order");
        Assert.That(server.Logins, Is.All.EqualTo("\0kbr\0canary-of-the-mail").And.Not.Empty);
        Assert.That(server.Tried.Take(3).Distinct().ToArray(), Has.Length.EqualTo(1), "the same mail each time");
        var (envelope, text) = server.Letters[0];
        Assert.That(
            envelope,
            Is.EqualTo("<kbr@install-01.example.com> to <ops@example.com> <night@example.com>"),
            "one mail to all recipients"
        );
        Assert.That(
            text,
            Does.Contain("\r\nTo: ops@example.com, night@example.com\r\n").And.Contain("\r\nAuto-Submitted: auto-generated\r\n")
        );
        Assert.That(text, Does.Match("\r\nSubject: kbr status: pg is not healthy\\. Gr[?]+e & <b>\r\n"));
        Assert.That(text, Does.Match("\r\nMessage-ID: <[0-9]{19}-status@install-01\\.example\\.com>\r\n"));
        Assert.That(text, Does.Match("\r\nDate: [A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} 20[0-9]{2} [0-9:]{8} \\+0000\r\n"));
        Assert.That(
            Encoding.UTF8.GetString(Convert.FromBase64String(text[text.IndexOf("\r\n\r\n", StringComparison.Ordinal)..])),
            Is.EqualTo("kbr status: pg is not healthy. Grüße & <b>\n")
        );
        server.Answer = "552 5.3.4 too large";
        Says(2, "down", exitCode: 1);
        Assert.That(Directory.GetFiles($"{_folder}/state/refused"), Has.Length.EqualTo(1));
        Assert.That(_messages, Is.Empty);
    }

    [Test]
    public void Without_a_mail_server_the_hosts_sendmail_takes_it_and_its_exit_code_tells()
    {
        File.WriteAllText(
            $"{_folder}/bin/sendmail",
            $"#!/bin/sh\necho \"$*\" >>'{_folder}/sent'; grep -v '^Date' >>'{_folder}/sent'; exit \"$(cat '{_folder}/exit')\"\n"
        );
        File.SetUnixFileMode($"{_folder}/bin/sendmail", UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        Environment(("MAIL_TO", "ops@example.com night@example.com"), ("MAIL_FROM", "kbr@example.com"), ("SENDMAIL", "sendmail"));
        var times = 0;
        foreach (var (exit, expected) in new[] { (75, 1), (0, 0), (0, 0) })
        {
            File.WriteAllText($"{_folder}/exit", $"{exit}");
            Says(2, "down", exitCode: expected);
            var sent = File.ReadAllLines($"{_folder}/sent");
            times = sent.Count(line => line == "-i -f kbr@example.com -- ops@example.com night@example.com");
            Assert.That(
                sent.Where(line => line.StartsWith("Message-ID", StringComparison.Ordinal)).Distinct().ToArray(),
                Has.Length.EqualTo(1)
            );
        }

        Assert.That(times, Is.EqualTo(2), "until it is taken, and not again");
    }

    [TestCase]
    [TestCase("WEBHOOK_FILE", "MAIL_TO")]
    public void One_way_has_to_be_chosen(params string[] set)
    {
        Environment([.. set.Select(name => (name, "x"))]);
        Says(2, "down", exitCode: 1);
        Assert.That(Directory.Exists($"{_folder}/state"), Is.False);
    }

    [Test]
    public void Markup_in_what_a_host_says_is_text() =>
        Assert.That(Says(2, "<!channel> a & b"), Is.EqualTo(new[] { "{\"text\": \"kbr status: &lt;!channel&gt; a &amp; b\"}" }));

    private static StatusItem Lag(StatusVerdict verdict, string measured) => new("lag", verdict, measured);

    private static StatusItem Units(string host) =>
        new("units", StatusVerdict.NotOk, "haproxy 1/2") { Places = [new StatusPlace("haproxy", host)] };

    private void Environment(params (string, string)[] variables) => _environment = variables;

    // What the real kbr says of such a status.
    private string[] Status(string[] unreachable, int serving, StatusItem item, StatusVerdict writes = StatusVerdict.Ok)
    {
        string[] causes = item.Verdict == StatusVerdict.Ok ? [] : [$"{item.Name}: {item.Measured}"];
        var conclusion = new StatusConclusion(
            writes,
            "",
            serving,
            3,
            [.. unreachable],
            [.. causes.Select(cause => new StatusCause(cause))]
        );
        var report = PostgresHealth.ReportOf(
            new ClusterStatus([item], conclusion) { Measures = [new StatusMeasure("lag_bytes", "A figure.", _messages.Count)] }
        );
        var document = StatusView.Document("lab", "pg", report, "kbr plan") + "\n";
        Assert.That(JsonSchemas.Problems(document), Is.Empty);
        return Says(
            StatusCommand.ExitCodeOf(report),
            string.Join('\n', StatusView.Lines("pg", report, "kbr plan").Select(line => line.Text)),
            report: document
        );
    }

    private static DriftReport.Finding Found(string name, string host = "db-1", bool deleted = false, string? ignored = null) =>
        new(
            new Address("config_file", name, host),
            deleted,
            ignored,
            null,
            null,
            [new DriftReport.Detail("mode", "0600", "0644", [], null)]
        );

    private string[] Drift(DriftReport.Finding[] found, params Diagnostic[] diagnostics) =>
        Drift(
            new DriftReport(
                "lab",
                "cluster.yaml",
                DateTimeOffset.UnixEpoch,
                [.. found],
                [.. Enumerable.Range(0, 7).Select(at => new Address("config_file", $"compared-{at}", "db-1"))],
                [],
                [],
                [.. diagnostics]
            )
        );

    // What the real kbr says of such a report.
    private string[] Drift(DriftReport report)
    {
        var document = DriftView.Document(report);
        Assert.That(JsonSchemas.Problems(document), Is.Empty);
        return Says(report.ExitCode, DriftView.Text(report), "drift", report: document + "\n");
    }

    // The messages that arrived meanwhile. Without a report, kbr could not write one.
    private string[] Says(int code, string said, string command = "status", int exitCode = 0, string report = "")
    {
        File.WriteAllText($"{_folder}/report", report);
        File.WriteAllText($"{_folder}/said", said);
        File.WriteAllText($"{_folder}/code", $"{code}");
        var before = _messages.Count;
        var start = new ProcessStartInfo(s_script, [command]) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["PATH"] = $"{_folder}/bin:{System.Environment.GetEnvironmentVariable("PATH")}";
        start.Environment["STATE_DIRECTORY"] = $"{_folder}/state";
        foreach (var (name, value) in _environment)
        {
            start.Environment[name] = value;
        }

        using var process = Process.Start(start)!;
        var error = process.StandardError.ReadToEnd();
        Assert.That(process.WaitForExit(TimeSpan.FromSeconds(60)), Is.True);
        Assert.That(process.ExitCode, Is.EqualTo(exitCode), error);
        Assert.That(error, Does.Not.Contain("canary"));
        return [.. _messages.Skip(before).Select(message => message.Body)];
    }

    // A mail server that asks for a login (RFC 5321, RFC 4954).
    private sealed class MailServer : IDisposable
    {
        private readonly TcpListener _listener = new(IPAddress.Loopback, 0);

        public MailServer()
        {
            _listener.Start();
            _ = ServeAsync();
        }

        public int Port => ((IPEndPoint)_listener.LocalEndpoint).Port;

        // To the whole mail; null for a connection that ends without one.
        public string? Answer { get; set; }

        public List<(string Envelope, string Text)> Letters { get; } = [];

        public List<string> Tried { get; } = [];

        public List<string> Logins { get; } = [];

        public void Dispose() => _listener.Dispose();

        private async Task ServeAsync()
        {
            try
            {
                while (true)
                {
                    using var client = await _listener.AcceptTcpClientAsync();
                    await SpeakAsync(client.GetStream());
                }
            }
            catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
            {
                // The test is over.
            }
        }

        private async Task SpeakAsync(NetworkStream stream)
        {
            using var reader = new StreamReader(stream, Encoding.Latin1);
            await using var writer = new StreamWriter(stream, Encoding.Latin1) { NewLine = "\r\n", AutoFlush = true };
            var (envelope, isIn) = ("", false);
            await writer.WriteLineAsync("220 mail.example.com ESMTP");
            while (await reader.ReadLineAsync() is { } line)
            {
                if (line.StartsWith("EHLO", StringComparison.Ordinal))
                {
                    await writer.WriteLineAsync("250-mail.example.com");
                    await writer.WriteLineAsync("250 AUTH PLAIN");
                }
                else if (line.StartsWith("AUTH PLAIN", StringComparison.Ordinal))
                {
                    var given = line["AUTH PLAIN".Length..].Trim();
                    if (given.Length == 0)
                    {
                        await writer.WriteLineAsync("334 ");
                        given = await reader.ReadLineAsync() ?? "";
                    }

                    Logins.Add(Encoding.UTF8.GetString(Convert.FromBase64String(given)));
                    isIn = true;
                    await writer.WriteLineAsync("235 2.7.0 in");
                }
                else if (!isIn)
                {
                    await writer.WriteLineAsync("530 5.7.0 log in first");
                }
                else if (line.StartsWith("MAIL FROM:", StringComparison.Ordinal))
                {
                    envelope = line["MAIL FROM:".Length..].Split(' ')[0] + " to";
                    await writer.WriteLineAsync("250 2.1.0 ok");
                }
                else if (line.StartsWith("RCPT TO:", StringComparison.Ordinal))
                {
                    envelope += " " + line["RCPT TO:".Length..].Split(' ')[0];
                    await writer.WriteLineAsync("250 2.1.5 ok");
                }
                else if (line == "DATA")
                {
                    await writer.WriteLineAsync("354 go on");
                    var text = new StringBuilder();
                    while (await reader.ReadLineAsync() is { } more && more != ".")
                    {
                        text.Append(more).Append("\r\n");
                    }

                    Tried.Add($"{text}");
                    if (Answer is not { } answer)
                    {
                        return;
                    }

                    if (answer.StartsWith('2'))
                    {
                        Letters.Add((envelope, $"{text}"));
                    }

                    await writer.WriteLineAsync(answer);
                }
                else if (line == "QUIT")
                {
                    await writer.WriteLineAsync("221 2.0.0 bye");
                    return;
                }
                else
                {
                    await writer.WriteLineAsync("502 5.5.1 not understood");
                }
            }
        }
    }

    private async Task TakeAsync(HttpListener server)
    {
        try
        {
            while (true)
            {
                var context = await server.GetContextAsync();
                using var reader = new StreamReader(context.Request.InputStream);
                _messages.Add((context.Request.Headers["Idempotency-Key"]!, await reader.ReadToEndAsync()));
                context.Response.StatusCode = (int)_answer;
                context.Response.Close();
            }
        }
        catch (Exception exception) when (exception is HttpListenerException or ObjectDisposedException)
        {
            // The test is over.
        }
    }
}
