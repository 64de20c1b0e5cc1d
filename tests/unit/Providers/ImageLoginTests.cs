using KeyBuzz.Reconciler.Providers.Image;
using KeyBuzz.Reconciler.Resources;
using static KeyBuzz.Reconciler.Tests.Providers.ProviderBench;

namespace KeyBuzz.Reconciler.Tests.Providers;

/// <summary>Pulls from a real registry that asks for a password.</summary>
[TestFixture]
internal sealed class ImageLoginTests
{
    private const string User = "deploy";
    private const string Password = "canary-registry-pass";

    // Of that password, by bcrypt.
    private const string Hash = "$2b$04$ss5vaHoMBKFgzjOjAIZ2RuCkuz7x3mUCMdjJlK68x5GtWrvyahEzu";

    private readonly ImageProvider _provider = new();
    private readonly string _folder = System.IO.Directory.CreateTempSubdirectory("kbr-login-").FullName;
    private readonly string _name = "kbr-login-" + System.IO.Path.GetRandomFileName().ToLowerInvariant().Replace('.', '-');
    private string _repository = "";
    private string _digest = "";

    [OneTimeSetUp]
    public void Serve()
    {
        OnlyAsRootWith("docker", "curl");
        var port = Ssh.SshServer.FreePort();
        _repository = $"127.0.0.1:{port}/kbr/private";
        System.IO.File.WriteAllText($"{_folder}/htpasswd", $"{User}:{Hash}\n");
        _digest = Output(
            $$"""
            registry=$(docker images --format '{{"{{.Repository}}:{{.Tag}}"}}' | grep '^kbr-lab/registry:' | head -n 1)
            docker run -d --name {{_name}} -p 127.0.0.1:{{port}}:5000 -v {{_folder}}:/auth:ro -e REGISTRY_AUTH=htpasswd \
                -e REGISTRY_AUTH_HTPASSWD_REALM=kbr -e REGISTRY_AUTH_HTPASSWD_PATH=/auth/htpasswd "$registry" >/dev/null
            timeout 30 sh -c 'until curl -s -o /dev/null http://127.0.0.1:{{port}}/v2/; do sleep 0.2; done'
            tar -C {{_folder}} -cf - --files-from /dev/null | docker import -c 'LABEL build={{_name}}' - {{_repository}}:1 >/dev/null
            printf %s {{Password}} | docker --config {{_folder}}/mine login -u {{User}} --password-stdin 127.0.0.1:{{port}} >/dev/null 2>&1
            docker --config {{_folder}}/mine push -q {{_repository}}:1 >/dev/null
            docker image inspect -f '{{"{{index .RepoDigests 0}}"}}' {{_repository}}:1 | sed 's/.*@//'
            """
        );
        // What kbr's script gives docker is written down.
        System.IO.Directory.CreateDirectory($"{_folder}/bin");
        Output(
            $"""
            docker=$(command -v docker)
            printf '#!/bin/sh\nprintf "%%s\\n" "$*" >>{_folder}/arguments\nexec %s "$@"\n' "$docker" >{_folder}/bin/docker
            chmod +x {_folder}/bin/docker
            """
        );
    }

    [OneTimeTearDown]
    public void End()
    {
        Shell($"docker rm -f -v {_name}; docker image rm {_repository}:1 {_repository}@{_digest}");
        System.IO.Directory.Delete(_folder, recursive: true);
    }

    [SetUp]
    public void Without() => Shell($"docker image rm {_repository}:1 {_repository}@{_digest}; rm -f {_folder}/arguments");

    [Test]
    public void A_pull_logs_in_and_leaves_no_password_behind()
    {
        // As a killed pull leaves it: no process has this number.
        Output("mkdir -p /run/kbr/registry.4194305 && echo secret >/run/kbr/registry.4194305/config.json");

        var result = Pull(Password);

        Assert.That(result.ExitCode, Is.Zero, result.Error);
        Output($"docker image inspect {_repository}:1");
        Assert.That(Left(), Is.Empty);
        var arguments = System.IO.File.ReadAllText($"{_folder}/arguments");
        Assert.That(
            arguments,
            Does.Contain($"login -u {User} --password-stdin 127.0.0.1:").And.Contain($"pull -q {_repository}@{_digest}")
        );
        Assert.That(arguments, Does.Not.Contain(Password));
        Assert.That(
            System.IO.File.Exists("/root/.docker/config.json")
                && System.IO.File.ReadAllText("/root/.docker/config.json").Contains(_repository.Split('/')[0], StringComparison.Ordinal),
            Is.False
        );

        // Present, it is not pulled again, and nobody logs in.
        System.IO.File.Delete($"{_folder}/arguments");
        Assert.That(Pull("another").ExitCode, Is.Zero);
        Assert.That(System.IO.File.ReadAllText($"{_folder}/arguments"), Does.Not.Contain("login"));
    }

    [Test]
    public void A_refused_login_is_said_without_the_password_and_leaves_nothing()
    {
        var result = Pull("canary-wrong");

        Assert.That(result.ExitCode, Is.Not.Zero);
        Assert.That(result.Error, Does.Contain($"refuses the login of {User}").And.Not.Contain("canary"));
        Assert.That(Left(), Is.Empty);
        Assert.That(Pull(null).Error, Does.Contain("auth"), "the registry does ask for a login");
    }

    [Test]
    public void A_pull_that_is_ended_leaves_nothing()
    {
        System.IO.File.WriteAllText($"{_folder}/slow", "#!/bin/sh\ncase $* in *pull*) touch " + _folder + "/pulling; sleep 60;; esac\n");
        var script = Rendered(Password).Replace($"{_folder}/bin", $"{_folder}/slow-bin", StringComparison.Ordinal);
        System.IO.File.WriteAllText($"{_folder}/script", script);
        var result = Shell(
            $"""
            mkdir -p {_folder}/slow-bin; cp {_folder}/slow {_folder}/slow-bin/docker; chmod +x {_folder}/slow-bin/docker
            sed -i '2i case $* in *inspect*) exit 1;; esac' {_folder}/slow-bin/docker
            timeout -k 5 2 sh {_folder}/script
            """
        );
        Assert.That(result.ExitCode, Is.EqualTo(124), result.Error);
        Assert.That(System.IO.File.Exists($"{_folder}/pulling"), Is.True);
        Assert.That(Left(), Is.Empty);
    }

    [TestCase(User, null, "registry_password is missing")]
    [TestCase(null, Password, "registry_user is missing")]
    public void A_login_has_a_user_and_a_password_of_the_secrets(string? user, string? password, string problem)
    {
        Assert.That(_provider.Validate(Image(user, password)).Select(finding => finding.Summary), Has.One.EqualTo(problem));
        Assert.That(_provider.Validate(Image(User, Password)), Is.Empty);
        var plain = Image(User, Password);
        plain = plain with { Spec = plain.Spec.With("registry_password", SecretText.Plain(Password)) };
        Assert.That(_provider.Validate(plain).Single().Summary, Is.EqualTo("registry_password must be ${secret.NAME}"));
        Assert.That(_provider.Desired(Image(User, Password)), Is.EqualTo(_provider.Desired(Image(null, null))), "it is not compared");
    }

    private KeyBuzz.Reconciler.Hosts.ScriptResult Pull(string? password) => Shell(Rendered(password));

    private string Rendered(string? password) =>
        $"PATH={_folder}/bin:$PATH\nset -eu\n{_provider.Render(ResourceOperation.Create, Image(password is null ? null : User, password)).Text}";

    private Resource Image(string? user, string? password)
    {
        var image = Resource(
            _provider,
            "private",
            ("reference", $"{(_repository.Length == 0 ? "r.example.com/p" : _repository)}:1@{_digest}")
        );
        image = user is null ? image : image with { Spec = image.Spec.With("registry_user", user) };
        return password is null
            ? image
            : image with
            {
                Spec = image.Spec.With("registry_password", new SecretText([new SecretText.Part(password, true)])),
            };
    }

    private static string Left() => Shell("ls -d /run/kbr/registry.* 2>/dev/null").Output;
}
