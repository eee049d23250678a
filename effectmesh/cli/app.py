"""The commands and their options. Imports nothing heavy: ``--help`` must be instant."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from effectmesh.cli.prompt_commands import prompt
from effectmesh.cli.provider_commands import provider
from effectmesh.cli.quality_commands import quality
from effectmesh.cli.video_commands import video

app = typer.Typer(
    help="Turns clips into published video effects, and knows what each one earns.",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
ledger = typer.Typer(help="The ledger.", no_args_is_help=True, rich_markup_mode=None)
topology = typer.Typer(
    help="Streams, consumers and buckets on the broker.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
dlq = typer.Typer(
    help="Dead letters: messages that nobody could answer.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
token = typer.Typer(help="Bearer tokens.", no_args_is_help=True, rich_markup_mode=None)
run = typer.Typer(help="One process of the stack.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(prompt, name="prompt")
app.add_typer(provider, name="provider")
app.add_typer(video, name="video")
app.add_typer(quality, name="quality")
app.add_typer(ledger, name="ledger")
app.add_typer(topology, name="topology")
app.add_typer(dlq, name="dlq")
app.add_typer(token, name="token")
app.add_typer(run, name="run", hidden=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
OfModule = Annotated[str, typer.Option("--module", "-m", help="Only this module's.")]
Job = Annotated[str, typer.Argument(metavar="JOB", help="A job id, such as job_…")]


@app.command()
def up() -> None:
    """Start everything, print the page's address, and stay until Ctrl-C."""
    from effectmesh.cli import local

    local.up()


@app.command()
def demo(
    clip: Annotated[Path | None, typer.Option(help="A clip of your own.")] = None,
    effect: Annotated[str, typer.Option(help="The effect to ask for.")] = "color_correction",
    json: Json = False,
) -> None:
    """Run one real clip through all 13 steps, print its story, and stop."""
    from effectmesh.cli.demo import play

    play(clip=clip, effect=effect, as_json=json)


@app.command()
def submit(
    clip: Annotated[Path, typer.Argument(help="The clip to upload.")],
    effect: Annotated[str, typer.Option("--effect", "-e", help="The effect to ask for.")],
    look: Annotated[str, typer.Option(help="A look within the effect.")] = "",
    wish: Annotated[str, typer.Option(help="What you want, in your own words.")] = "",
    priority: Annotated[str, typer.Option(help="quality, speed, cost or balanced.")] = "balanced",
    provider: Annotated[
        list[str] | None, typer.Option(help="Only these providers; may be repeated.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Follow it to its end.")] = False,
    json: Json = False,
) -> None:
    """Upload a clip and order an effect."""
    from effectmesh.cli import remote

    order = {
        "effect_type": effect,
        "effect_subtype": look,
        "wish": wish,
        "user_preferences": {"priority": priority},
        "providers": provider or [],
    }
    remote.submit(clip=clip, order=order, watch=watch, as_json=json)


@app.command()
def status(
    job: Annotated[str, typer.Argument(metavar="[JOB]", help="A job id.")] = "",
    json: Json = False,
) -> None:
    """Show the stack, or where one job is."""
    from effectmesh.cli import local

    local.status(job, as_json=json)


@app.command()
def jobs(
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many.")] = 20,
    json: Json = False,
) -> None:
    """List the newest jobs."""
    from effectmesh.cli import local

    local.jobs(limit, as_json=json)


@app.command()
def trace(job: Job, json: Json = False) -> None:
    """Show every event of a job in order, with its time."""
    from effectmesh.cli import local

    local.trace(job, as_json=json)


@app.command()
def watch(job: Job) -> None:
    """Follow a job live to its end."""
    from effectmesh.cli import remote

    remote.watch(job)


@app.command()
def approve(job: Job, json: Json = False) -> None:
    """Approve a result, so that it is published."""
    from effectmesh.cli import remote

    remote.decide(job, approve=True, reason="", as_json=json)


@app.command()
def reject(
    job: Job,
    reason: Annotated[str, typer.Option(help="Why; the user reads it.")],
    json: Json = False,
) -> None:
    """Reject a result; the tokens go back."""
    from effectmesh.cli import remote

    remote.decide(job, approve=False, reason=reason, as_json=json)


@app.command()
def cancel(
    job: Job,
    reason: Annotated[str, typer.Option(help="Why.")] = "",
    json: Json = False,
) -> None:
    """Stop a job; the tokens go back."""
    from effectmesh.cli import remote

    remote.cancel(job, reason=reason, as_json=json)


@app.command()
def actors(json: Json = False) -> None:
    """List the running modules: what each did, what waits for it, its last error."""
    from effectmesh.cli import actors as modules

    modules.show_list(as_json=json)


@app.command()
def doctor(json: Json = False) -> None:
    """Check this machine, and say how to mend what is wrong."""
    from effectmesh.cli import local

    local.doctor(as_json=json)


@app.command()
def down() -> None:
    """Stop the running stack; what is under way drains."""
    from effectmesh.cli import local

    local.down()


@app.command()
def reset(yes: Yes = False) -> None:
    """Delete everything the embedded servers keep: jobs, media, ledger."""
    from effectmesh.cli import local

    local.reset(yes=yes)


@app.command()
def prepare() -> None:
    """Make tables, streams, tokens and the provider catalog what they must be; harmless to repeat.

    ``effectmesh up`` does it by itself. For processes that are started one by one.
    """
    from effectmesh.cli import local

    local.prepare()


@app.command()
def agent(
    comfyui: Annotated[str, typer.Option(help="The ComfyUI host, http://host:8188.")],
    slots: Annotated[int, typer.Option(min=1, max=16, help="Renders at once.")] = 1,
    lanes: Annotated[
        str, typer.Option(help="Which lanes it serves, separated by commas.")
    ] = "interactive,batch",
    comfyui_dir: Annotated[
        Path | None,
        typer.Option(
            help="The host's folder with input and output, to clear up behind renders.",
            exists=True,
            file_okay=False,
        ),
    ] = None,
    allow_public_host: Annotated[
        bool, typer.Option(help="Drive a host that everybody can reach.")
    ] = False,
    previews: Annotated[
        bool, typer.Option(help="Show small pictures of what is being made.")
    ] = False,
) -> None:
    """Serve one ComfyUI host."""
    from effectmesh.cli import local

    local.agent(
        comfyui=comfyui,
        slots=slots,
        lanes=lanes,
        comfyui_dir=comfyui_dir,
        allow_public_host=allow_public_host,
        previews=previews,
    )


@app.command()
def version() -> None:
    """Print the version."""
    from effectmesh import __version__

    typer.echo(__version__)


@ledger.command("verify")
def ledger_verify(json: Json = False) -> None:
    """Add the whole ledger up again; exit status 1 when a rule is broken."""
    from effectmesh.cli import local

    local.verify(as_json=json)


@topology.command("plan")
def topology_plan(json: Json = False) -> None:
    """Show what differs from the declaration."""
    from effectmesh.cli import broker

    broker.plan(as_json=json)


@topology.command("apply")
def topology_apply(json: Json = False) -> None:
    """Create and update what differs."""
    from effectmesh.cli import broker

    broker.apply(as_json=json)


@topology.command("check")
def topology_check(json: Json = False) -> None:
    """Exit with status 1 when anything differs."""
    from effectmesh.cli import broker

    broker.check(as_json=json)


@topology.command("write")
def topology_write(
    folder: Annotated[Path, typer.Option(help="Where the JSON goes.")] = Path("nats"),
) -> None:
    """Write the declaration as JSON for the NATS command line."""
    from effectmesh.cli import broker

    broker.write(folder)


@dlq.command("list")
def dlq_list(
    module: OfModule = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 20,
    json: Json = False,
) -> None:
    """List the newest dead letters, the oldest of them first."""
    from effectmesh.cli import dlq as letters

    letters.show_list(module=module, limit=limit, as_json=json)


@dlq.command("show")
def dlq_show(
    letter: Annotated[int, typer.Argument(metavar="SEQ", min=1, help="Its number.")],
    json: Json = False,
) -> None:
    """Show one dead letter: its error, where it comes from, its headers and its body."""
    from effectmesh.cli import dlq as letters

    letters.show(letter, as_json=json)


@dlq.command("replay")
def dlq_replay(
    chosen: Annotated[
        list[int] | None, typer.Argument(metavar="[SEQ]...", min=1, help="Their numbers.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All of them, oldest first.")] = False,
    module: OfModule = "",
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Say a dead letter's message again, and take the letter away; harmless to repeat."""
    from effectmesh.cli import dlq as letters

    letters.replay(chosen or [], every=every, module=module, yes=yes, as_json=json)


@dlq.command("drop")
def dlq_drop(
    chosen: Annotated[list[int], typer.Argument(metavar="SEQ...", min=1, help="Their numbers.")],
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Delete dead letters for good."""
    from effectmesh.cli import dlq as letters

    letters.drop(chosen, yes=yes, as_json=json)


@token.command("create")
def token_create(
    name: Annotated[str, typer.Option(help="What it is for.")],
    tenant: Annotated[str, typer.Option(help="The tenant, such as tnt_acme.")],
    user: Annotated[str, typer.Option(help="The user, such as usr_ann.")],
    role: Annotated[str, typer.Option(help="user or admin.")] = "user",
) -> None:
    """Make a token and print it, this once. A running gateway knows it after its next start."""
    from effectmesh.cli import local

    local.create_token(name, tenant, user, role)


@run.command("actors")
def run_actors() -> None:
    """Run the ten modules."""
    from effectmesh.cli import local

    local.process("actors")


@run.command("gateway")
def run_gateway() -> None:
    """Run HTTP and WebSocket."""
    from effectmesh.cli import local

    local.process("gateway")


@run.command("renderer")
def run_renderer(
    port: Annotated[int, typer.Option()],
    number: Annotated[int, typer.Option()],
    switches: Annotated[str, typer.Option(hidden=True)] = "",
) -> None:
    """Run one embedded renderer."""
    from effectmesh.cli import local

    local.renderer(port, number, switches)
