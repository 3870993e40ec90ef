"""EC2's own events in EventBridge: an instance that starts or ends is told to whoever has a rule for it. moto tells nobody.

Karpenter reads them from its interruption queue, to which such rules send them.
"""

from __future__ import annotations

import logging
import sys
import time
import uuid
from collections.abc import Callable
from typing import Any

from moto.ec2.models import EC2Backend
from moto.ec2.models.instances import Instance

_log = logging.getLogger(__name__)


def mend() -> None:
    """Tell from now on."""
    backend, instance = EC2Backend, Instance  # type: Any, Any
    backend.run_instances = _telling_of_starts(backend.run_instances)
    for name, state in (("terminate", "terminated"), ("stop", "stopped"), ("start", "running")):
        setattr(instance, name, _telling(getattr(instance, name), state))


def _telling_of_starts(run: Callable[..., Any]) -> Callable[..., Any]:
    def ran(self: Any, *arguments: Any, **kwargs: Any) -> Any:
        reservation = run(self, *arguments, **kwargs)
        for instance in reservation.instances:
            _tell(instance, "running")
        return reservation

    return ran


def _telling(change: Callable[..., Any], state: str) -> Callable[..., Any]:
    def changed(self: Any, *arguments: Any, **kwargs: Any) -> Any:
        before, answer = self.state, change(self, *arguments, **kwargs)
        if before != state:
            _tell(self, state)
        return answer

    return changed


def _tell(instance: Any, state: str) -> None:
    if "moto.events.models" not in sys.modules:
        return  # nobody has used EventBridge, so there is no rule
    from moto.events.models import events_backends

    ec2 = instance.ec2_backend
    where = f"{ec2.region_name}:{ec2.account_id}"
    event = {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "EC2 Instance State-change Notification",
        "source": "aws.ec2",
        "account": ec2.account_id,
        "time": time.time(),
        "region": ec2.region_name,
        "resources": [f"arn:{ec2.partition}:ec2:{where}:instance/{instance.id}"],
        "detail": {"instance-id": instance.id, "state": state},
    }
    backend: Any = events_backends[ec2.account_id][ec2.region_name]
    for rule in list(backend.describe_event_bus("default").rules.values()):
        try:
            # Its own put_events needs a package for input transformers, also where there is none.
            rule.send_to_targets(dict(event), transform_input=False)
        except Exception:  # a rule with a target that moto cannot reach must not keep an instance from starting
            _log.exception("telling %s of %s", rule.name, instance.id)
