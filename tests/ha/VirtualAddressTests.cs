using System.Diagnostics;
using System.Net.Sockets;
using System.Text.RegularExpressions;
using KeyBuzz.Reconciler.LabTests;

namespace KeyBuzz.Reconciler.HaTests;

/// <summary>The proxies hold a virtual address instead of standing behind the load balancer.</summary>
[TestFixture]
[Category(Ha.Slice3)]
[DependsOnFixture(typeof(AlertTests), AllowFailure = true)]
public sealed class VirtualAddressTests
{
    private static readonly TimeSpan s_mostGap = TimeSpan.FromSeconds(3);

    private string _before;
    private string _address;

    [OneTimeSetUp]
    public void Declare()
    {
        _before = HaSetUp.Workspace.Yaml;
        var balancer = Regex.Match(_before, @"  load_balancer: \{ address: (10\.\d+\.0\.)10 \}\n");
        _address = balancer.Groups[1].Value + "100";
        HaSetUp.Workspace.Yaml = _before.Replace(
            balancer.Value,
            $"  virtual_ip: {{ address: {_address}, interface: eth0, image: '{Lab.Images()["KEEPALIVED"]}' }}\n",
            StringComparison.Ordinal
        );
        HaSetUp.Workspace.Apply();
    }

    [OneTimeTearDown]
    public void Back()
    {
        HaSetUp.Workspace.Yaml = _before;
        HaSetUp.Workspace.Apply();
        HaSetUp.Workspace.AssertNothingToDo();
        Assert.That(Holders(), Is.Empty, "the address went with keepalived");
    }

    [Test]
    public void One_proxy_holds_it_clients_connect_to_it_and_a_second_plan_is_empty()
    {
        HaSetUp.Workspace.AssertNothingToDo();
        Assert.That(Holders(), Has.Length.EqualTo(1));
        var status = HaSetUp.Workspace.Kbr("status");
        Assert.That(status.ExitCode, Is.Zero, status.All);
        Assert.That(
            status.Output,
            Does.Contain($"{_address} held by {Holders()[0]}").And.Contain($"sql through virtual address {_address}:5432")
        );
        Assert.That(HaSetUp.Workspace.Kbr("connect", "--print").Output, Does.Contain($"host={_address} port=5432 "));
    }

    [Test]
    [DependsOnTest(nameof(One_proxy_holds_it_clients_connect_to_it_and_a_second_plan_is_empty), AllowFailure = true)]
    public void It_moves_in_under_3_s_when_its_keepalived_is_killed()
    {
        var holder = Holders()[0];
        var gap = GapWhile(() => Lab.Command("kill", holder, "keepalived"));
        Assert.That(gap, Is.LessThan(s_mostGap));
        Lab.Until(() => Holders() is [var next] && next != holder, TimeSpan.FromSeconds(10), "the other proxy alone holding the address");
    }

    [Test]
    [DependsOnTest(nameof(It_moves_in_under_3_s_when_its_keepalived_is_killed), AllowFailure = true)]
    public void It_moves_in_under_3_s_when_its_host_loses_power_and_stays_when_that_one_is_back()
    {
        var holder = Holders()[0];
        TimeSpan gap;
        try
        {
            gap = GapWhile(() => Lab.Command("off", "--crash", holder));
        }
        finally
        {
            Lab.Command("on", holder);
        }

        Assert.That(gap, Is.LessThan(s_mostGap));
        var next = Ha.Proxies.Single(proxy => proxy != holder);
        Ha.UntilHealthy(HaSetUp.Workspace, TimeSpan.FromSeconds(120));
        Assert.That(Holders(), Is.EqualTo(new[] { next }));
        HaSetUp.Workspace.AssertNothingToDo();
    }

    [Test]
    [DependsOnTest(nameof(It_moves_in_under_3_s_when_its_host_loses_power_and_stays_when_that_one_is_back), AllowFailure = true)]
    public void A_roll_out_of_the_proxies_moves_it_once_before_its_holder_has_its_turn()
    {
        var holder = Holders()[0];
        var yaml = HaSetUp.Workspace.Yaml;
        var haproxy = Regex.Match(yaml, @"(?<=  haproxy:\n    image: )\S+").Value;
        HaSetUp.Workspace.Yaml = yaml.Replace(
            haproxy,
            LabImage.Derive("haproxy", "moved", "LABEL kbr.test=moved"),
            StringComparison.Ordinal
        );
        var plan = HaSetUp.Workspace.Kbr("plan");
        Assert.That(plan.Output, Does.Contain($"  2. restart {holder}\n"), "the holder goes last");

        var gap = GapWhile(() => HaSetUp.Workspace.Apply());

        Assert.That(gap, Is.LessThan(s_mostGap));
        Assert.That(Holders(), Has.Length.EqualTo(1).And.None.EqualTo(holder));
        HaSetUp.Workspace.AssertNothingToDo();
    }

    private string[] Holders() =>
        [
            .. Ha.Proxies.Where(proxy =>
                Lab.RunOn(proxy, "ip -brief address show dev eth0").Output.Contains($" {_address}/32", StringComparison.Ordinal)
            ),
        ];

    // The longest time for which nobody could connect to the address, from before the change until five seconds after it.
    private TimeSpan GapWhile(Action change)
    {
        using var end = new CancellationTokenSource();
        var probe = Task.Run(async () =>
        {
            var (clock, longest) = (Stopwatch.StartNew(), TimeSpan.Zero);
            while (!end.IsCancellationRequested)
            {
                if (await ConnectsAsync())
                {
                    longest = clock.Elapsed > longest ? clock.Elapsed : longest;
                    clock.Restart();
                }

                // Each is a session of PostgreSQL: 50 a second were all that a slow machine had time for.
                await Task.Delay(200);
            }

            return clock.Elapsed > longest ? clock.Elapsed : longest;
        });
        change();
        end.CancelAfter(TimeSpan.FromSeconds(5));
        var gap = probe.GetAwaiter().GetResult();
        TestContext.Out.WriteLine($"the longest gap was {gap.TotalSeconds:0.00} s");
        return gap;
    }

    private async Task<bool> ConnectsAsync()
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromMilliseconds(300));
        using var client = new TcpClient();
        try
        {
            await client.ConnectAsync(_address, 5432, patience.Token);
            return true;
        }
        catch (Exception exception) when (exception is SocketException or OperationCanceledException)
        {
            return false;
        }
    }
}
