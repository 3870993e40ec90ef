"""Lab 14: checks and scenes."""

from __future__ import annotations

import base64
import configparser
import contextlib
import json
import os
import random
import shutil
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import yaml

from lab_helpers import CheckFailed, KubernetesError, Lab
from lab_helpers.errors import ClusterError
from lab_helpers.kube import Kube

Object = dict[str, Any]

CLUSTER, ACCOUNT = "prod", "123456789012"
IAM, POLICIES = f"arn:aws:iam::{ACCOUNT}", "arn:aws:eks::aws:cluster-access-policy/"
YOU = f"{IAM}:user/lab-admin"
RBAC = "rbac.authorization.k8s.io"
PATIENCE = 15  # seconds: EKS reads aws-auth every 2 s, and an API server believes for 5 s what it was told of a token
MINUTES = 14  # a token is good for 15


# -- the token in the build log ---------------------------------------------------------------------------------------


def scene_leaked_token(lab: Lab) -> None:
    """The user robot deploys in release; a token of its key stands in a ConfigMap."""
    _begin(lab)
    _user(lab, "robot", "release", fresh=True)
    _let_in(lab, f"{IAM}:user/robot", "robot", ["release-bots"])
    _namespace(lab, "release")
    rule = {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "list", "create", "patch"]}
    _role(lab, "release", "release-bots", rule)
    token = _token("release")
    log = f"""22:14:07 release 418: kubectl set image deployment/web web=lab.local/web:1.0
22:14:07 curl -H 'Authorization: Bearer {token}' $SERVER/apis/apps/v1/namespaces/release/deployments
22:14:08 deployment.apps/web image updated
"""
    item = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "build-log", "namespace": "release"}}
    lab.kube.apply({**item, "data": {"log": log}}, force=True)
    (lab.cluster.folder / "leaked").write_text(token)
    _until(lambda: _who(_kube(lab, "leaked", token)), 30)


def leaked_token(lab: Lab) -> None:
    """The token opens nothing any more, and the release still gets in, as the same user with the same rights."""
    _look(lab)
    token = (lab.cluster.folder / "leaked").read_text()
    url = base64.urlsafe_b64decode(token.removeprefix("k8s-aws-v1.") + "==").decode()
    asked = dict(parse_qsl(urlsplit(url).query))
    signed = datetime.strptime(asked["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    if (datetime.now(UTC) - signed).total_seconds() > 60 * MINUTES:
        raise CheckFailed(
            "The token has expired by itself meanwhile.",
            f"it was signed at {signed:%H:%M:%S} UTC: its quarter of an hour is over",
            "set the scene again, and be quicker than it is",
        )
    found = _kube(lab, "leaked", token)
    if not _until(lambda: not _who(found), PATIENCE):
        raise CheckFailed(
            f"The token still opens prod: with it one is {_who(found)}.",
            f"signed with the key {asked['X-Amz-Credential'].split('/')[0]}, which is {_state(lab, asked)}",
            "no list of tokens is kept, so none can be struck off. What does STS need, each time, to compute the signature?",
        )
    try:
        kube = _enter(lab, "release")
    except CheckFailed as error:
        raise CheckFailed(
            "The token is worthless, and the release cannot get in any more, either.",
            error.seen,
            "same user, same rights: what may a user have two of, so that one can be changed for the other?",
        ) from None
    arn = _extra(kube, "arn")
    if arn != f"{IAM}:user/robot":
        raise CheckFailed(
            f"The profile release is {arn.rpartition('/')[2]} now.",
            "the audit log would name the wrong one, and so would CloudTrail",
            "robot may have a new key of its own: which command makes one?",
        )
    if not _may(kube, "patch", "deployments", "release", "apps"):
        raise CheckFailed(
            "robot gets in, and may not deploy in release any more.",
            f"groups: {', '.join(_groups(kube))}",
            "were its rights the problem? Set the scene again, and leave them alone",
        )


def _state(lab: Lab, asked: dict[str, str]) -> str:
    key = asked["X-Amz-Credential"].split("/")[0]
    for row in lab.aws("iam").list_access_keys(UserName="robot")["AccessKeyMetadata"]:
        if row["AccessKeyId"] == key:
            return str(row["Status"])
    return "gone"


# -- who deleted the namespace? ---------------------------------------------------------------------------------------

ON_CALL = ("carol", "dave", "erin")


def scene_who_deleted(lab: Lab) -> None:
    """Three people with one role; one deletes billing, one only tries what would happen, one looks around afterwards."""
    _begin(lab)
    arns = {name: _user(lab, name, name) for name in ON_CALL}
    _iam_role(lab, "ops", list(arns.values()))
    _let_in(lab, f"{IAM}:role/ops", "ops", ["on-call"])
    rule = {"apiGroups": [""], "resources": ["namespaces", "pods", "configmaps"], "verbs": ["get", "list", "delete"]}
    _cluster_role(lab, "on-call", rule)
    _namespace(lab, "billing")
    culprit, careful, late = random.sample(ON_CALL, 3)
    sessions = {name: _assume(name, "ops") for name in (careful, culprit, late)}
    _until(lambda: _kubectl(lab, sessions[careful], "auth", "whoami"), 30)
    _kubectl(lab, sessions[careful], "delete", "namespace", "billing", "--dry-run=server", must=True)
    _kubectl(lab, sessions[culprit], "get", "configmaps", "-n", "billing", must=True)
    _kubectl(lab, sessions[culprit], "delete", "namespace", "billing", "--wait=false", must=True)
    _kubectl(lab, sessions[late], "get", "namespaces", must=True)
    lab.kube.wait_for("namespace", "billing", "deleted", deadline=90)
    (lab.cluster.folder / "culprit").write_text(f"{culprit} {careful} {late}")


def who_deleted(lab: Lab) -> None:
    """The user whose session sent the delete that was meant."""
    _look(lab)
    said = str(lab.answer("culprit")).strip().rpartition("/")[2].lower()
    culprit, careful, _ = (lab.cluster.folder / "culprit").read_text().split()
    if said == culprit:
        return
    if said in ("ops", "deployer"):
        raise CheckFailed(
            f"{said} is a role: that was all three of them.",
            "the user name in the cluster is the role's",
            "what else does the audit log know of a user? Look under `extra`",
        )
    if said == "kubernetes-admin" or said == "lab-admin":
        raise CheckFailed(
            f"{said}: that is you.",
            "your own requests, and those of this lab, stand in the log as well",
            "which of the requests deletes this namespace, and was answered with 200?",
        )
    if said == careful:
        raise CheckFailed(
            f"{said} has asked for it, and nothing happened.",
            "that request says dryRun: All in its body",
            "there is more than one request that deletes billing. Which of them was meant?",
        )
    if said in ON_CALL:
        raise CheckFailed(
            f"{said} had the role, and deleted nothing.",
            "three people assumed ops this evening, each with a session of their own",
            "what do the audit log's line and the AssumeRole call have in common?",
        )
    raise CheckFailed(
        f"culprit is {said!r}: no user of this account who works with ops.",
        f"on call: {', '.join(ON_CALL)}",
        "begin with the audit log: which request deleted billing?",
    )


# -- just what the ticket asks ----------------------------------------------------------------------------------------

WANTED = [
    ("get", "pods", "", ""), ("list", "pods", "", ""), ("get", "pods", "log", ""),
    ("get", "deployments", "", "apps"), ("list", "deployments", "", "apps"), ("patch", "deployments", "", "apps"),
]  # fmt: skip
TOO_MUCH = [
    ("get", "secrets", "", "", "shop"), ("list", "secrets", "", "", "shop"),
    ("create", "pods", "", "", "shop"), ("delete", "pods", "", "", "shop"), ("create", "pods", "exec", "", "shop"),
    ("create", "deployments", "", "apps", "shop"), ("delete", "deployments", "", "apps", "shop"),
    ("list", "configmaps", "", "", "shop"), ("create", "rolebindings", "", RBAC, "shop"),
    ("list", "pods", "", "", "pay"), ("patch", "deployments", "", "apps", "pay"), ("get", "secrets", "", "", "pay"),
    ("list", "nodes", "", "", ""), ("list", "namespaces", "", "", ""),
]  # fmt: skip


def scene_ticket(lab: Lab) -> None:
    """The role front trusts Dana, and the cluster knows neither; shop and pay have a Deployment and a Secret each."""
    _begin(lab)
    _forward(lab, "API_AND_CONFIG_MAP")
    dana = _user(lab, "dana", "dana")
    _iam_role(lab, "front", [dana])
    _profile("dana-as-front", role_arn=f"{IAM}:role/front", source_profile="dana")
    for arn in (dana, f"{IAM}:role/front"):
        _shut_out(lab, arn)
    for space in ("shop", "pay"):
        _namespace(lab, space)
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "card-key", "namespace": space}}
        lab.kube.apply({**secret, "stringData": {"key": "4711"}}, force=True)
        deployment = yaml.safe_load((Path(__file__).parent / "web.yaml").read_text())
        deployment["metadata"]["namespace"] = space
        lab.kube.apply(deployment, force=True)
    _forget_rights(lab)


def ticket(lab: Lab) -> None:
    """The role front may do what the ticket says, and nothing of what it does not say."""
    _look(lab)
    kube = _enter(lab, "dana-as-front", patience=PATIENCE, otherwise="the entry has to be for what enters. Who is that?")
    much = [row for row in TOO_MUCH if _may(kube, row[0], row[1], row[4], row[3], row[2])]
    if much:
        verb, resource, part, _, space = much[0]
        what = f"{verb} {resource}{'/' + part if part else ''}"
        more = f"and {len(much) - 1} more that the ticket does not ask for" if len(much) > 1 else ""
        raise CheckFailed(
            f"Dana may {what} {f'in {space}' if space else 'of the whole cluster'}: nobody asked for that.",
            f"groups: {', '.join(_groups(kube))}. {more}".strip(),
            "who gives her this right: an access policy, a Role, a binding? And in which part of the cluster does it count?",
        )
    for verb, resource, part, group in WANTED:
        if not _may(kube, verb, resource, "shop", group, part):
            raise CheckFailed(
                f"Dana may not {verb} {resource}{'/' + part if part else ''} in shop.",
                f"she enters as {_who(kube)}, groups {', '.join(_groups(kube))}",
                "go through the ticket line by line: which object gives which right, and is its subject this user or group?",
            )


# -- locked out -------------------------------------------------------------------------------------------------------


def scene_locked_out(lab: Lab) -> None:
    """Mode API; Alice stands in aws-auth only, and nobody has an entry any more."""
    _begin(lab)
    alice = _user(lab, "alice", "alice")
    _shut_out(lab, alice)
    _write_aws_auth(lab, "mapUsers", alice, {"userarn": alice, "username": "alice", "groups": ["system:masters"]})
    _forward(lab, "API")
    eks = lab.aws("eks")
    for arn in eks.list_access_entries(clusterName=CLUSTER)["accessEntries"]:
        eks.delete_access_entry(clusterName=CLUSTER, principalArn=arn)
    _forget_rights(lab)


def locked_out(lab: Lab) -> None:
    """Alice may do everything again, and nobody else was let in with her."""
    _look(lab)
    mode = _mode(lab)
    why = "her line in aws-auth is still there, and nobody reads it: the mode is API"
    step = "the table that counts now is kept by EKS. With whose rights is it changed, and by which of its operations?"
    try:
        kube = _enter(lab, "alice", patience=PATIENCE)
    except CheckFailed:
        raise CheckFailed(f"Alice is still nobody to {CLUSTER}.", why if mode == "API" else f"mode {mode}", step) from None
    tried = [("*", "*", "", "*"), ("create", "namespaces"), ("get", "secrets", "kube-system"), ("list", "nodes")]
    missing = [row for row in tried if not _may(kube, *row)]
    if missing:
        little = any(_may(kube, "list", what, space) for what, space in (("pods", ""), ("pods", "default"), ("pods", "shop")))
        some = "is in, and is no administrator" if little else "is known again, and may do nothing"
        raise CheckFailed(
            f"Alice {some}.",
            f"groups: {', '.join(_groups(kube))}; she may not {missing[-1][0]} {missing[-1][1]}",
            "an entry says who somebody is. What says what they may do, and in which part of the cluster?",
        )
    others = [arn for arn in _entries(lab) if arn != f"{IAM}:user/alice"]
    if others:
        raise CheckFailed(
            f"{others[0].partition('/')[2]} has an access entry as well.",
            "the ticket names Alice: she can let in whom she wants",
            "delete it again; administrators are few",
        )


# -- the account ------------------------------------------------------------------------------------------------------


def _begin(lab: Lab) -> None:
    """The cluster is there, this lab looks at it, and you are its administrator again."""
    try:
        state = lab.aws("eks").describe_cluster(name=CLUSTER)["cluster"]["status"]
    except Exception:
        raise ClusterError(
            f"There is no cluster {CLUSTER} yet.", next_step="run the cell with aws eks create-cluster"
        ) from None
    if state not in ("ACTIVE", "UPDATING"):
        raise ClusterError(f"The cluster {CLUSTER} is {state}.", next_step="wait until it is ACTIVE, then run this cell again")
    _look(lab)
    _empty_cache()
    if _mode(lab) != "CONFIG_MAP" and YOU not in _entries(lab):
        eks = lab.aws("eks")
        eks.create_access_entry(clusterName=CLUSTER, principalArn=YOU)
        scope, policy = {"type": "cluster"}, POLICIES + "AmazonEKSClusterAdminPolicy"
        eks.associate_access_policy(clusterName=CLUSTER, principalArn=YOU, policyArn=policy, accessScope=scope)


def _look(lab: Lab) -> None:
    """After a kernel has started again, this lab looks at no cluster yet."""
    try:
        lab.kube  # noqa: B018
    except ClusterError:
        lab.use(CLUSTER)


def _user(lab: Lab, name: str, profile: str, fresh: bool = False) -> str:
    """A user with one key, which stands in a profile; the ARN."""
    iam = lab.aws("iam")
    with contextlib.suppress(iam.exceptions.EntityAlreadyExistsException):
        iam.create_user(UserName=name)
    keys = {row["AccessKeyId"]: row["Status"] for row in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]}
    held = _profile(profile).get("aws_access_key_id")
    if fresh or keys.get(str(held)) != "Active":
        for key in keys:
            iam.delete_access_key(UserName=name, AccessKeyId=key)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        _profile(profile, aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    return f"{IAM}:user/{name}"


def _profile(name: str, **values: str) -> dict[str, str]:
    """Set values of a profile, in the file where `aws configure set` would; what it holds then."""
    secret = not values or "aws_access_key_id" in values
    path = Path(os.environ["AWS_SHARED_CREDENTIALS_FILE" if secret else "AWS_CONFIG_FILE"])
    section = name if secret else f"profile {name}"
    table = configparser.RawConfigParser(default_section="")
    table.read(path)
    if values:
        if not table.has_section(section):
            table.add_section(section)
        table[section].update(values)
        with path.open("w") as file:
            table.write(file)
    return dict(table[section]) if table.has_section(section) else {}


def _iam_role(lab: Lab, name: str, trusted: list[str]) -> None:
    iam = lab.aws("iam")
    statement = {"Effect": "Allow", "Principal": {"AWS": trusted}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    try:
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)
    except iam.exceptions.EntityAlreadyExistsException:
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=document)


def _assume(profile: str, role: str) -> dict[str, str]:
    """What a program needs in its environment to work with a role: a session of a name as the AWS CLI makes it."""
    time.sleep(max(0.0, _last[0] + 1 - time.time()))  # that name is a second: two of the same would tell nobody anything
    _last[0] = time.time()
    session = ["--role-session-name", f"botocore-session-{int(time.time())}"]
    words = ["aws", "sts", "assume-role", "--role-arn", f"{IAM}:role/{role}", *session, "--profile", profile]
    done = subprocess.run([*words, "--output", "json"], capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise ClusterError(f"{profile} cannot assume {role} in the scene.", done.stderr.strip(), "set the scene again")
    made = json.loads(done.stdout)["Credentials"]
    return {
        "AWS_ACCESS_KEY_ID": made["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": made["SecretAccessKey"],
        "AWS_SESSION_TOKEN": made["SessionToken"],
    }


_last = [0.0]


def _empty_cache() -> None:
    """The AWS CLI's credentials of roles: those of an earlier scene would still be good."""
    shutil.rmtree(_cli_cache(), ignore_errors=True)


def _cli_cache() -> Path:
    return Path(os.environ["AWS_CONFIG_FILE"]).parent / "home" / ".aws" / "cli" / "cache"


# -- who may enter ----------------------------------------------------------------------------------------------------


def _mode(lab: Lab) -> str:
    return str(lab.aws("eks").describe_cluster(name=CLUSTER)["cluster"]["accessConfig"]["authenticationMode"])


def _forward(lab: Lab, mode: str) -> None:
    """Go to a mode, if it lies ahead."""
    road, eks = ("CONFIG_MAP", "API_AND_CONFIG_MAP", "API"), lab.aws("eks")
    for step in road[road.index(_mode(lab)) + 1 : road.index(mode) + 1]:
        eks.update_cluster_config(name=CLUSTER, accessConfig={"authenticationMode": step})
        if not _until(lambda: eks.describe_cluster(name=CLUSTER)["cluster"]["status"] == "ACTIVE", 60):
            raise ClusterError(f"{CLUSTER} does not reach the mode {step}.", next_step="aws eks list-updates --name prod")


def _entries(lab: Lab) -> list[str]:
    return list(lab.aws("eks").list_access_entries(clusterName=CLUSTER)["accessEntries"])


def _let_in(lab: Lab, arn: str, username: str, groups: list[str]) -> None:
    """Map a principal, by the table that the cluster's mode has."""
    _shut_out(lab, arn)
    if _mode(lab) == "CONFIG_MAP":
        kind = "role" if ":role/" in arn else "user"
        row = {f"{kind}arn": arn, "username": username, "groups": groups}
        _write_aws_auth(lab, f"map{kind.title()}s", arn, row)
    else:
        eks = lab.aws("eks")
        eks.create_access_entry(clusterName=CLUSTER, principalArn=arn, username=username, kubernetesGroups=groups)


def _shut_out(lab: Lab, arn: str) -> None:
    """Take a principal out of both tables."""
    _write_aws_auth(lab, "mapRoles" if ":role/" in arn else "mapUsers", arn, None)
    if _mode(lab) != "CONFIG_MAP" and arn in _entries(lab):
        lab.aws("eks").delete_access_entry(clusterName=CLUSTER, principalArn=arn)


def _write_aws_auth(lab: Lab, table: str, arn: str, row: Object | None) -> None:
    """Put a row into aws-auth in the place of those of the same ARN; None: take them out."""
    found = lab.kube.find("configmap", "aws-auth", "kube-system")
    if found is None and row is None:
        return
    data = (found or {}).get("data") or {}
    try:
        rows = yaml.safe_load(data.get(table, "")) or []
    except yaml.YAMLError:
        rows = []
    kept = [one for one in rows if arn not in (one.get("rolearn"), one.get("userarn"))]
    text = yaml.safe_dump([*kept, *([row] if row else [])])
    meta = {"name": "aws-auth", "namespace": "kube-system"}
    lab.kube.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {**data, table: text}}, force=True)


def _namespace(lab: Lab, name: str) -> None:
    lab.kube.wait_for("namespace", name, _here_or_gone, deadline=90, what=f"{name} ready or gone")
    if lab.kube.find("namespace", name) is None:
        lab.kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})


def _here_or_gone(found: Object | None) -> bool:
    return found is None or found["status"].get("phase") == "Active"


def _role(lab: Lab, space: str, group: str, rule: Object) -> None:
    """A Role and its RoleBinding for a group, both of the group's name."""
    meta = {"name": group, "namespace": space}
    lab.kube.apply({"apiVersion": f"{RBAC}/v1", "kind": "Role", "metadata": meta, "rules": [rule]}, force=True)
    lab.kube.apply(_binding("Role", group, meta), force=True)


def _cluster_role(lab: Lab, group: str, rule: Object) -> None:
    meta = {"name": group}
    lab.kube.apply({"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": meta, "rules": [rule]}, force=True)
    lab.kube.apply(_binding("ClusterRole", group, meta), force=True)


def _binding(kind: str, group: str, meta: Object) -> Object:
    ref = {"apiGroup": RBAC, "kind": kind, "name": group}
    subjects = [{"kind": "Group", "apiGroup": RBAC, "name": group}]
    return {"apiVersion": f"{RBAC}/v1", "kind": f"{kind}Binding", "metadata": meta, "roleRef": ref, "subjects": subjects}


def _forget_rights(lab: Lab) -> None:
    """Bindings that people have made: those that name somebody who is not the cluster's own."""
    own = ("system:", "eks-access:", "eks:", "kubeadm:", "cluster-admin")
    places = [("clusterrolebinding", None), *(("rolebinding", space) for space in ("shop", "pay", "default"))]
    for kind, space in places:
        for item in lab.kube.list(f"{kind}s", space):
            names = [subject["name"] for subject in item.get("subjects") or [] if subject["kind"] != "ServiceAccount"]
            if names and not item["metadata"]["name"].startswith(own):
                lab.kube.delete(kind, item["metadata"]["name"], space or "default")


# -- entering as somebody ---------------------------------------------------------------------------------------------


def _token(profile: str) -> str:
    """A token as the AWS CLI makes it.

    Raises:
        CheckFailed: it makes none.
    """
    words = ["aws", "eks", "get-token", "--cluster-name", CLUSTER, "--profile", profile, "--output", "json"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise CheckFailed(f"aws eks get-token fails with the profile {profile}.", done.stderr.strip())
    return str(json.loads(done.stdout)["status"]["token"])


def _kube(lab: Lab, name: str, token: str) -> Kube:
    """The cluster's API with that token and nothing else."""
    config = yaml.safe_load(lab.cluster.kubeconfig.read_text())
    config["users"] = [{"name": user["name"], "user": {"token": token}} for user in config["users"]]
    path = lab.cluster.folder / f"as-{name}.kubeconfig"
    path.touch(0o600)
    path.write_text(yaml.safe_dump(config))
    return Kube(path)


def _enter(lab: Lab, profile: str, patience: float = 3, otherwise: str = "") -> Kube:
    """The cluster's API as somebody.

    Raises:
        CheckFailed: there is no token for them, or the cluster does not know whose it is.
    """
    found: list[Kube] = []

    def tried() -> bool:
        kube = _kube(lab, profile, _token(profile))
        if _who(kube):
            found.append(kube)
        return bool(found)

    if not _until(tried, patience):
        said = [row for row in lab.log("authenticator", 40).splitlines() if "access denied" in row]
        seen = f"the authenticator's log: {said[-1].partition('msg=')[2][:160]}" if said else ""
        raise CheckFailed(f"{profile} is nobody to {CLUSTER}: Unauthorized.", seen, otherwise)
    return found[0]


def _review(kube: Kube) -> Object:
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    return dict(kube.raw("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", body)["status"]["userInfo"])


def _who(kube: Kube) -> str:
    """The user name that the cluster gives, or empty: 401."""
    try:
        return str(_review(kube)["username"])
    except KubernetesError as error:
        if error.status == 401:
            return ""
        raise


def _groups(kube: Kube) -> list[str]:
    return [group for group in _review(kube)["groups"] if group != "system:authenticated"] or ["none"]


def _extra(kube: Kube, name: str) -> str:
    return str(_review(kube).get("extra", {}).get(name, [""])[0])


def _may(kube: Kube, verb: str, resource: str, space: str = "", group: str = "", part: str = "") -> bool:
    """Whether the caller has a right, as the API server sees it."""
    wanted = {"verb": verb, "resource": resource, "namespace": space, "group": group, "subresource": part}
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": wanted}}
    return bool(kube.raw("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body)["status"]["allowed"])


def _kubectl(lab: Lab, keys: dict[str, str], *words: str, must: bool = False) -> bool:
    """kubectl with somebody's keys; whether it went well."""
    env = {name: value for name, value in os.environ.items() if name != "AWS_PROFILE"} | keys
    path = lab.cluster.folder / "scene.kubeconfig"
    if not path.exists():
        made = ["aws", "eks", "update-kubeconfig", "--name", CLUSTER, "--kubeconfig", str(path)]
        subprocess.run(made, capture_output=True, timeout=60, check=True)
    done = subprocess.run(["kubectl", *words], env=env | {"KUBECONFIG": str(path)}, capture_output=True, text=True, timeout=60)
    if must and done.returncode:
        raise ClusterError(f"kubectl {' '.join(words)} failed in the scene.", done.stderr.strip(), "set the scene again")
    return done.returncode == 0


def _until(holds: Callable[[], object], seconds: float) -> bool:
    """Wait until something holds, or so long; whether it does."""
    end = time.monotonic() + seconds
    while not (found := bool(holds())) and time.monotonic() < end:
        time.sleep(0.5)
    return found


# -- the end ----------------------------------------------------------------------------------------------------------

USERS = ("alice", "bob", "mallory", "robot", "dana", *ON_CALL)
PROFILES = (*USERS, "release", "forged", "bob-as-deployer", "mallory-as-deployer", "dana-as-front")
ROLES = ("prod", "deployer", "ops", "front")


def close(lab: Lab) -> None:
    """Users, roles, keys and profiles go, and what the AWS CLI has kept. (The cluster goes with the lab.)"""
    iam = lab.aws("iam")
    for name in USERS:
        with contextlib.suppress(iam.exceptions.NoSuchEntityException):
            for row in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]:
                iam.delete_access_key(UserName=name, AccessKeyId=row["AccessKeyId"])
            iam.delete_user(UserName=name)
    for name in ROLES:
        with contextlib.suppress(iam.exceptions.NoSuchEntityException):
            iam.delete_role(RoleName=name)
    _empty_cache()
    for variable in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        path = Path(os.environ[variable])
        table = configparser.RawConfigParser(default_section="")
        table.read(path)
        for section in table.sections():
            if section.removeprefix("profile ") in PROFILES:
                table.remove_section(section)
        with path.open("w") as file:
            table.write(file)
