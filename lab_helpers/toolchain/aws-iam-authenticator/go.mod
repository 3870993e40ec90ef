// Pins the module alone, by its hash in go.sum. It is built by its own go.mod (which replaces a module), with the line of
// loopback.patch changed.
module lab.local/aws-iam-authenticator

go 1.26.3

require sigs.k8s.io/aws-iam-authenticator v0.7.18
