"""The lab's environment: nothing of the user's clusters gets in, nothing of a lab's proxy stays behind."""

from __future__ import annotations

from lab_helpers.clusters import scrubbed


def test_a_labs_proxy_ends_with_the_lab_and_the_users_own_stays():
    labs = "http://default:60548959f537e552af3b0325009dd810@127.0.0.1:26424"
    left = scrubbed({"http_proxy": labs, "HTTP_PROXY": labs, "https_proxy": "http://proxy.example:3128", "LANG": "C"})
    assert "http_proxy" not in left and "HTTP_PROXY" not in left
    assert left["https_proxy"] == "http://proxy.example:3128" and left["LANG"] == "C"
    assert scrubbed({"http_proxy": "http://ana:secret@127.0.0.1:3128"})["http_proxy"] == "http://ana:secret@127.0.0.1:3128"


def test_the_users_clusters_and_clouds_stay_outside():
    left = scrubbed({"KUBECONFIG": "/home/ana/.kube/config", "AWS_PROFILE": "work", "NO_PROXY": "internal.example"})
    assert left["KUBECONFIG"] == "/dev/null" and "AWS_PROFILE" not in left
    assert left["NO_PROXY"].split(",") == ["internal.example", "127.0.0.1", "localhost", "::1"]
