"""Operations of EKS that the lab does not play, each with the reason, and the lists and look-ups that stay empty therefore."""

from __future__ import annotations

from lab_helpers.eks.model.account import Account
from lab_helpers.eks.model.errors import not_found
from lab_helpers.eks.model.registry import NOT_PLAYED, Parameters, Result, operation

_CAPABILITIES = "ACK, kro and Argo CD run in AWS's own account, next to the control plane: nothing of that can run here"
_AUTHORITIES = "the cluster's certificate authority is the provider's, and stays the same for the cluster's life"
_ANYWHERE = "an EKS Anywhere subscription is a purchase"
_CONNECTOR = "a registered cluster needs the EKS Connector's agent and AWS's endpoint for it"

NOT_PLAYED.update(
    {
        "CreateCapability": _CAPABILITIES,
        "UpdateCapability": _CAPABILITIES,
        "DeleteCapability": _CAPABILITIES,
        "CreateCertificateAuthority": _AUTHORITIES,
        "ActivateCertificateAuthority": _AUTHORITIES,
        "DeleteCertificateAuthority": _AUTHORITIES,
        "CreateEksAnywhereSubscription": _ANYWHERE,
        "UpdateEksAnywhereSubscription": _ANYWHERE,
        "DeleteEksAnywhereSubscription": _ANYWHERE,
        "RegisterCluster": _CONNECTOR,
        "DeregisterCluster": _CONNECTOR,
    }
)


@operation
def list_capabilities(account: Account, parameters: Parameters) -> Result:
    """Always empty: none can be made."""
    account.cluster(parameters["clusterName"])
    return {"capabilities": []}


@operation
def describe_capability(account: Account, parameters: Parameters) -> Result:
    """Always "not found": none can be made."""
    account.cluster(parameters["clusterName"])
    raise not_found(f"No capability found with name: {parameters['capabilityName']}", clusterName=parameters["clusterName"])


@operation
def list_certificate_authorities(account: Account, parameters: Parameters) -> Result:
    """Always empty: the authority that signs is shown by DescribeCluster."""
    account.cluster(parameters["clusterName"])
    return {"certificateAuthorities": []}


@operation
def describe_certificate_authority(account: Account, parameters: Parameters) -> Result:
    """Always "not found": none can be made."""
    account.cluster(parameters["clusterName"])
    raise not_found(f"No certificate authority found with id: {parameters['certificateAuthorityId']}")


@operation
def list_eks_anywhere_subscriptions(account: Account, parameters: Parameters) -> Result:
    """Always empty: none can be bought."""
    return {"subscriptions": []}


@operation
def describe_eks_anywhere_subscription(account: Account, parameters: Parameters) -> Result:
    """Always "not found": none can be bought."""
    raise not_found(f"No subscription found with id: {parameters['id']}")
