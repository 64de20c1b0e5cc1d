using System.Collections.Immutable;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Container;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Providers.Supervision;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Tests.Providers;

[TestFixture]
public sealed class ContainerTests
{
    private const string Image = "registry.example/tiny:1@sha256:00000000000000000000000000000000000000000000000000000000000000aa";

    private const string ImageJson =
        """{"Id":"sha256:1111","Config":{"Env":["PATH=/usr/bin","LANG=C"],"Cmd":["sleep","inf"],"Entrypoint":["/init"],"User":"app","Labels":{"maintainer":"x"},"Volumes":{"/var/lib/app":{}}}}""";

    private const string ContainerJson = """
        {"Id":"c0ffee","Image":"sha256:1111","State":{"Status":"running","Running":true,"StartedAt":"2026-11-23T12:00:00.123456789Z"},
         "Config":{"Image":"registry.example/tiny:1@sha256:00000000000000000000000000000000000000000000000000000000000000aa","Hostname":"h1","User":"app",
           "Env":["A=1","PATH=/usr/bin","LANG=C"],"Cmd":["sleep","inf"],"Entrypoint":["/init"],"StopTimeout":60,"Labels":{"maintainer":"x","kbr.address":"container.app@h1"}},
         "HostConfig":{"NetworkMode":"host","ShmSize":67108864,"RestartPolicy":{"Name":"no","MaximumRetryCount":0},"Ulimits":[{"Name":"nofile","Soft":1024,"Hard":2048}],
           "CapAdd":["CAP_NET_ADMIN"],"CapDrop":["ALL"],"SecurityOpt":["no-new-privileges:true"],"Privileged":false,"LogConfig":{"Type":"local","Config":{"max-size":"10m","compress":"true"}},"ReadonlyRootfs":false,"Tmpfs":{"/run":"size=1m"}},
         "Mounts":[{"Type":"bind","Source":"/etc/app","Destination":"/cfg","RW":false},{"Type":"bind","Source":"/data","Destination":"/data","RW":true},{"Type":"volume","Name":"f00","Destination":"/var/lib/app","RW":true}]}
        """;

    private readonly ContainerProvider _provider = new();

    private Resource Container(params (string Name, object Value)[] values)
    {
        var set = new AttributeSet(
            _provider
                .Schema.Attributes.Where(attribute => attribute.Default is not null)
                .ToImmutableDictionary(attribute => attribute.Name, attribute => attribute.Default!)
        )
            .With("image", Image)
            .With("environment", ImmutableDictionary<string, string>.Empty.Add("A", "1"))
            .With("mounts", new[] { "/data/:/data", "/etc/app:/cfg:ro" })
            .With("ulimits", ImmutableDictionary<string, string>.Empty.Add("nofile", "1024:2048"))
            .With("cap_add", new[] { "net_admin" })
            .With("cap_drop", new[] { "all" })
            .With("security_opt", new[] { "no-new-privileges" })
            .With("log_options", ImmutableDictionary<string, string>.Empty.Add("max-size", "10m"))
            .With("tmpfs", new[] { "/run:size=1m" });
        return new Resource(new Address("container", "app", "h1"), values.Aggregate(set, (all, pair) => all.With(pair.Name, pair.Value)));
    }

    private Observation Observe(
        Resource resource,
        string json = ContainerJson,
        int status = 200,
        int former = 404,
        DockerAnswer? image = null,
        params ServiceState[] services
    ) =>
        _provider.Observe(
            resource,
            new Snapshot(
                ImmutableDictionary<Read, object?>
                    .Empty.Add(new ContainerRead("app"), new DockerAnswer(status, json))
                    .Add(new ServicesRead(), services)
                    .Add(new ContainerRead("app.kbr-old"), new DockerAnswer(former, "{}"))
                    .Add(new ImageRead(resource.Spec.String("image")), image ?? new DockerAnswer(200, ImageJson))
            )
        );

    private IEnumerable<string> Differences(Resource resource, Observation observation)
    {
        var observed = ((Observation.Present)observation).Attributes;
        var desired = _provider.Desired(resource);
        Assert.That(observed.Keys, Is.EqualTo(desired.Keys));
        return desired.Where(pair => pair.Value.Value != observed[pair.Key].Value).Select(pair => $"{pair.Key}={observed[pair.Key].Value}");
    }

    [Test]
    public void A_container_as_wanted_observes_as_desired() => Assert.That(Differences(Container(), Observe(Container())), Is.Empty);

    [TestCase("\"A=1\"", "\"A=2\"", "environment=A=2")]
    [TestCase("\"A=1\"", "\"A=1\",\"B=2\"", "environment=A=1\nB=2")]
    [TestCase("\"LANG=C\"", "\"LANG=fr\"", "environment=A=1\nLANG=fr")]
    [TestCase("\"A=1\"", "\"A=1\",\"A=2\"", "environment=A=2")]
    [TestCase("[\"sleep\",\"inf\"]", "[\"sleep\",\"9\"]", "command=sleep\n9")]
    [TestCase("[\"/init\"]", "[\"/other\"]", "entrypoint=/other")]
    [TestCase("\"User\":\"app\"", "\"User\":\"root\"", "user=root")]
    [TestCase("\"Source\":\"/data\"", "\"Source\":\"/elsewhere\"", "mounts=/elsewhere:/data\n/etc/app:/cfg:ro")]
    [TestCase("\"RW\":false", "\"RW\":true", "mounts=/data:/data\n/etc/app:/cfg")]
    [TestCase("\"host\"", "\"default\"", "network=bridge")]
    [TestCase("67108864", "1048576", "shm_size=1048576")]
    [TestCase("\"StopTimeout\":60", "\"StopTimeout\":null", "stop_timeout=10")]
    [TestCase("\"Name\":\"no\"", "\"Name\":\"always\"", "restart=always")]
    [TestCase("\"Soft\":1024", "\"Soft\":1", "ulimits=nofile=1:2048")]
    [TestCase("[\"CAP_NET_ADMIN\"]", "null", "cap_add=")]
    [TestCase("\"CapDrop\":[\"ALL\"]", "\"CapDrop\":null", "cap_drop=")]
    [TestCase("[\"no-new-privileges:true\"]", "[\"seccomp=unconfined\"]", "security_opt=seccomp=unconfined")]
    [TestCase("\"Privileged\":false", "\"Privileged\":true", "privileged=true")]
    [TestCase("\"Type\":\"local\"", "\"Type\":\"json-file\"", "log_driver=json-file")]
    [TestCase("\"10m\"", "\"1g\"", "log_options=max-size=1g")]
    [TestCase("\"ReadonlyRootfs\":false", "\"ReadonlyRootfs\":true", "read_only=true")]
    [TestCase("{\"/run\":\"size=1m\"}", "null", "tmpfs=")]
    [TestCase("\"maintainer\":\"x\",", "\"maintainer\":\"x\",\"team\":\"y\",", "labels=team=y")]
    [TestCase("\"Status\":\"running\"", "\"Status\":\"exited\"", "running=false")]
    public void One_field_that_changed_is_one_difference(string field, string changed, string expected)
    {
        var json = ContainerJson.Replace(field, changed, StringComparison.Ordinal);
        Assert.That(Differences(Container(), Observe(Container(), json)), Is.EqualTo(new[] { expected }));
    }

    [Test]
    public void A_variable_that_is_there_twice_has_its_last_value() =>
        Assert.That(
            Differences(Container(), Observe(Container(), ContainerJson.Replace("\"A=1\"", "\"A=2\",\"A=1\"", StringComparison.Ordinal))),
            Is.Empty
        );

    [Test]
    public void Another_image_is_one_difference_though_its_defaults_differ_too()
    {
        var image = new DockerAnswer(
            200,
            """{"Id":"sha256:2222","Config":{"Env":["PATH=/other"],"Cmd":["other"],"Entrypoint":null,"User":""}}"""
        );
        Assert.That(Differences(Container(), Observe(Container(), image: image)), Has.Exactly(1).StartsWith("image=").And.Exactly(1).Items);
    }

    [Test]
    public void While_the_image_is_not_on_the_host_its_name_is_compared()
    {
        var missing = new DockerAnswer(404, "{}");
        Assert.That(Differences(Container(), Observe(Container(), image: missing)), Is.Empty);
        Assert.That(
            Differences(Container(("image", "tiny:2")), Observe(Container(("image", "tiny:2")), image: missing)),
            Is.EqualTo(new[] { $"image={Image}" })
        );
    }

    [Test]
    public void An_entry_point_of_several_words_is_found_again()
    {
        var container = Container(("entrypoint", new[] { "/bin/sh", "-c" }), ("command", new[] { "true" }));
        var json = ContainerJson
            .Replace("[\"/init\"]", "[\"/bin/sh\"]", StringComparison.Ordinal)
            .Replace("[\"sleep\",\"inf\"]", "[\"-c\",\"true\"]", StringComparison.Ordinal);
        Assert.That(Differences(container, Observe(container, json)), Is.Empty);
    }

    [Test]
    public void A_supervised_container_has_no_running_attribute()
    {
        var container = Container(("supervised_by", "app.service"));
        Assert.That(_provider.Desired(container).Keys, Has.None.EqualTo("running"));
        Assert.That(
            Differences(container, Observe(container, ContainerJson.Replace("\"running\"", "\"exited\"", StringComparison.Ordinal))),
            Is.Empty
        );
    }

    private const string ByHand = "\"maintainer\":\"x\"";

    private static ServiceState Service(string name, params string[] commands) =>
        new(
            name,
            "loaded",
            [.. commands.Select(command => command.Split('=', 2)).Select(pair => new ServiceCommand(pair[0], pair[1]))],
            []
        );

    private string ForeignUnits(params ServiceState[] services)
    {
        var container = Container(("supervised_by", "app.service"));
        var json = ContainerJson.Replace(",\"kbr.address\":\"container.app@h1\"", "", StringComparison.Ordinal);
        Assert.That(json, Does.Contain(ByHand + "}"), "somebody else's container");
        return Observe(container, json, services: services) switch
        {
            Observation.Present present => present.Attributes["foreign_units"].Value,
            Observation.Unknown unknown => "refused: " + unknown.Reason,
            _ => "absent",
        };
    }

    [TestCase("ExecStart=/usr/bin/docker run --rm --name app --network host tiny:1 app -x", "ExecStop=/usr/bin/docker stop app")]
    [TestCase("ExecStart=/usr/bin/docker run -d --name=app tiny:1")]
    [TestCase("ExecStart=/usr/bin/docker start app")]
    [TestCase("ExecStart=docker start -a app", "ExecStartPre=/bin/mkdir -p /run/app", "ExecStopPost=/usr/bin/docker rm -f app")]
    [TestCase("ExecStart=/bin/sh -c docker run --rm --name app tiny:1")]
    [TestCase("ExecStartPre=/usr/bin/docker pull tiny:1", "ExecStart=/usr/bin/podman run --name app tiny:1")]
    [TestCase("ExecStart=/usr/bin/docker -H unix:///run/docker.sock restart -t 10 app")]
    public void A_unit_that_does_nothing_but_run_the_container_is_to_be_set_aside(params string[] commands)
    {
        Assert.That(
            ForeignUnits(
                Service("app-docker.service", commands),
                Service("app.service", "ExecStart=/usr/bin/docker start --attach app"),
                Service("sshd.service", "ExecStart=/usr/sbin/sshd -D")
            ),
            Is.EqualTo("app-docker.service")
        );
        var note = (
            (Observation.Present)Observe(Container(("supervised_by", "app.service")), services: Service("app-docker.service", commands))
        ).Note;
        Assert.That(note, Does.Contain("app-docker.service").And.Contain("/etc/systemd/system/app-docker.service.before-kbr/restore"));
    }

    [TestCase("ExecStart=/usr/bin/docker exec app true")]
    [TestCase("ExecStart=/usr/bin/docker run --rm --name application tiny:1")]
    [TestCase("ExecStart=/usr/bin/docker stop app")]
    [TestCase("ExecStart=/usr/local/bin/app")]
    [TestCase("ExecStart=/usr/bin/dockerd -H fd://")]
    public void A_unit_that_does_not_start_the_container_is_nobodys_concern(string command) =>
        Assert.That(ForeignUnits(Service("other.service", command)), Is.Empty);

    [TestCase("it starts the container redis", "ExecStart=/usr/bin/docker start app redis")]
    [TestCase(
        "it starts the container redis",
        "ExecStartPre=/usr/bin/docker run -d --name redis redis:7",
        "ExecStart=/usr/bin/docker start -a app"
    )]
    [TestCase(
        "it runs /usr/local/bin/backup",
        "ExecStartPre=/usr/bin/docker stop app",
        "ExecStart=/usr/local/bin/backup --password hush",
        "ExecStartPost=/usr/bin/docker start app"
    )]
    [TestCase("it runs /bin/sh", "ExecStart=/bin/sh -c docker start app; /usr/local/bin/backup")]
    public void A_unit_with_another_job_is_named_and_left_alone(string job, params string[] commands)
    {
        Assert.That(
            ForeignUnits(Service("stack.service", commands)),
            Is.EqualTo(
                $"refused: stack.service starts the container app and has another job ({job}): remove app "
                    + $"from it, then run systemctl daemon-reload"
            )
        );
        var ours = (Observation.Present)Observe(Container(("supervised_by", "app.service")), services: Service("stack.service", commands));
        Assert.That(ours.Attributes["foreign_units"].Value, Is.Empty, "once the container is kbr's, a backup may stop and start it");
    }

    [Test]
    public void A_unit_is_found_by_its_container_client_and_by_name_only_if_it_creates_the_container()
    {
        const string Client = "/usr/bin/docker run --rm --name app tiny:1";
        Assert.Multiple(() =>
        {
            Assert.That(
                ForeignUnits(new ServiceState("gone.service", "not-found", [], [Client])),
                Is.EqualTo("gone.service"),
                "its file is set aside already"
            );
            Assert.That(
                ForeignUnits(new ServiceState("wrapped.service", "loaded", [new("ExecStart", "/opt/start-app")], [Client])),
                Is.EqualTo(
                    "refused: wrapped.service starts the container app and has another job (it runs "
                        + "/opt/start-app): remove app from it, then run systemctl daemon-reload"
                )
            );
            Assert.That(ForeignUnits(Service("app.service", "ExecStart=" + Client)), Is.EqualTo("app.service"));
            Assert.That(ForeignUnits(Service("off.service", "ExecStart=" + Client) with { LoadState = "masked" }), Is.Empty);
        });
    }

    [Test]
    public void A_container_that_is_gone_and_would_come_back_by_a_foreign_unit_shows_it()
    {
        var absent = (Observation.Absent)Observe(
            Container(("supervised_by", "app.service")),
            status: 404,
            services: Service("app-docker.service", "ExecStart=/usr/bin/docker run --rm --name app tiny:1")
        );
        Assert.That(absent.Foreign["foreign_units"].Value, Is.EqualTo("app-docker.service"));
        Assert.That(absent.Note, Does.Contain("app-docker.service"));
    }

    [Test]
    public void Leftovers_of_an_interrupted_replacement_are_shown()
    {
        Assert.That(Differences(Container(), Observe(Container(), former: 200)), Is.EqualTo(new[] { "leftover=true" }));
        Assert.That(((Observation.Absent)Observe(Container(), status: 404, former: 200)).Note, Does.Contain("app.kbr-old"));
    }

    [Test]
    public void A_silent_engine_is_unknown() => Assert.That(Observe(Container(), status: 0), Is.InstanceOf<Observation.Unknown>());

    [TestCase("image", "tiny:latest")]
    [TestCase("image", "tiny")]
    [TestCase("container_name", "-x")]
    public void A_wrong_word_is_refused(string attribute, string value) =>
        Assert.That(_provider.Validate(Container((attribute, value))), Has.Exactly(1).Items);

    [TestCase("mounts", "data:/data")]
    [TestCase("mounts", "/data:/data:rw,z")]
    [TestCase("mounts", "/da,ta:/data")]
    [TestCase("ports", "5432")]
    [TestCase("ports", "tcp/0")]
    [TestCase("cap_drop", "NET_ADMIN")]
    [TestCase("cap_drop", "net-raw")]
    [TestCase("security_opt", "no_new_privileges")]
    [TestCase("security_opt", "seccomp=/etc/docker/profile.json")]
    [TestCase("security_opt", "systempaths=unconfined")]
    public void A_wrong_list_is_refused(string attribute, string value) =>
        Assert.That(_provider.Validate(Container((attribute, new[] { value }))), Has.Exactly(1).Items);

    [TestCase("seccomp=unconfined")]
    [TestCase("seccomp=builtin")]
    [TestCase("apparmor=unconfined")]
    [TestCase("no-new-privileges:true")]
    public void A_security_option_that_is_shown_as_given_is_none_to_refuse(string option) =>
        Assert.That(_provider.Validate(Container(("security_opt", new[] { option }))), Is.Empty);

    [Test]
    public void Two_supervisors_are_refused() =>
        Assert.That(
            _provider.Validate(Container(("supervised_by", "app.service"), ("restart", "always"))).Select(found => found.Summary),
            Has.One.Contains("two supervisors")
        );

    [Test]
    public void It_needs_its_image_and_its_directories()
    {
        var links = _provider.Links(Container(("ports", new[] { "tcp/5432" })));
        Assert.That(links.Provides, Is.EqualTo(new[] { "container:app" }));
        Assert.That(links.Needs, Is.EqualTo(new[] { "image:" + Image, "path:/data", "path:/etc/app" }));
        Assert.That(links.Ports, Is.EqualTo(new[] { "tcp/5432" }));
    }

    [Test]
    public void It_is_made_with_mounts_that_fail_on_a_missing_source()
    {
        var text = _provider.Render(new ResourceChange(ResourceOperation.Create, Container(), [])).Text;
        Assert.That(
            text,
            Does.Contain("'--mount' 'type=bind,source=/data,target=/data'")
                .And.Contain("'type=bind,source=/etc/app,target=/cfg,readonly'")
                .And.Contain("'--pull' 'never'")
        );
        Assert.That(text, Does.Contain("was not created by this resource"));
    }

    [Test]
    public void Proxies_of_root_s_docker_configuration_are_in_no_container()
    {
        ProviderBench.OnlyAsRootWith("docker", "systemctl");
        var folder = Directory.CreateTempSubdirectory("kbr-container-").FullName;
        var name = "kbr-test-" + Path.GetRandomFileName().ToLowerInvariant().Replace('.', '-');
        File.WriteAllText($"{folder}/config.json", """{"proxies":{"default":{"httpProxy":"http://ada:hush@192.0.2.1:3128"}}}""");
        try
        {
            ProviderBench.Output($"tar -C {folder} -cf - --files-from /dev/null | docker import -c 'CMD [\"/x\"]' - {name}:1");
            // The unit is not there, so the container is made and not started.
            var container = ProviderBench.Resource(
                _provider,
                "app",
                ("container_name", name),
                ("image", $"{name}:1"),
                ("supervised_by", $"{name}.service")
            );
            var put = _provider.Render(new ResourceChange(ResourceOperation.Create, container, []));
            ProviderBench.Succeeds(put with { Text = $"export DOCKER_CONFIG={folder}\n{put.Text}" });

            Assert.That(
                ProviderBench.Output($"docker inspect -f '{{{{.Config.Env}}}}' {name}").ToLowerInvariant(),
                Does.Not.Contain("proxy")
            );
        }
        finally
        {
            ProviderBench.Shell($"docker rm {name}; docker image rm {name}:1; rm -r {folder}");
        }
    }

    [Test]
    public void The_validate_command_runs_before_the_former_container_is_stopped()
    {
        var text = _provider.Render(new ResourceChange(ResourceOperation.Replace, Container(("validate", "is-it-right")), [])).Text;
        Assert.That(
            text.IndexOf("sh -c 'is-it-right'", StringComparison.Ordinal),
            Is.InRange(1, text.IndexOf("\n    stop \"$name\"", StringComparison.Ordinal))
        );
    }

    [TestCase("restart", "docker update --restart 'no'", "&& settled; then")]
    [TestCase("leftover", "docker rm -f", "docker update --restart 'no'")]
    [TestCase("running", "&& settled; then", "docker update --restart 'no'")]
    public void An_update_changes_only_the_differences(string changed, string does, string doesNot)
    {
        var text = _provider.Render(new ResourceChange(ResourceOperation.Update, Container(), [changed])).Text;
        Assert.That(text, Does.Contain(does).And.Not.Contain(doesNot));
        Assert.That(text, Does.Not.Contain(" create "));
    }
}
