"""Amazon EKS on this machine: a local AWS that the real programs (aws, eksctl, kubectl) talk to. Teaching calls it.

One process (`python -m lab_helpers.eks`) plays AWS for everything that a learner has open; moto does most of it. Requests
come the way they go to AWS, by HTTPS to `*.amazonaws.com`, through a proxy that answers nothing else:

    aws, eksctl, boto3 → proxy.py (ends TLS; certificates.py) → front.py (who calls? signature.py; log: calls.py)
        → sts.py (presigned tokens, trust policies) or moto with model/ (EKS)
    kubectl → aws eks get-token → API server → aws-iam-authenticator (authenticator.py) → proxy.py → sts.py

service.py starts, adopts and ends that process; environment.py says what a program must see to reach it; state.py keeps
what the account holds over a restart. What changes the account says so by `changes.changed()`; `callers.current()` is who
calls. model/ has two hooks: `install()` before moto is used, `resume()` after a state is loaded.
"""
