"""Where `fetch` finds and leaves things. Only its `main` knows the pod's own paths; everything else is given these."""

from __future__ import annotations

from pathlib import Path

import msgspec

from datums.model import podpaths

TOOLS = "/usr/local/lib/datums"


class Paths(msgspec.Struct, frozen=True, kw_only=True):
    """The directories and files of one pod."""

    inputs: Path
    config: Path
    run: Path
    state: Path
    plan: Path
    token: Path
    termination_log: Path
    tools: Path
    """Where the image has busybox and tini."""

    @staticmethod
    def below(root: Path, tools: Path = Path(TOOLS)) -> Paths:
        """The pod's paths below another root; `/` for the pod itself."""

        def at(path: str) -> Path:
            return root / path.lstrip("/")

        return Paths(
            inputs=at(podpaths.INPUTS),
            config=at(podpaths.CONFIG),
            run=at(podpaths.RUN),
            state=at(podpaths.STATE),
            plan=at(podpaths.PLAN),
            token=at(podpaths.TOKEN),
            termination_log=at(podpaths.TERMINATION_LOG),
            tools=tools,
        )

    @property
    def resolved(self) -> Path:
        """The inputs as they were loaded (`model.commit.Resolved`), for `ship`."""
        return self.state / "inputs.json"
