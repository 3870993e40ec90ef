// Pins the module alone, by its hash in go.sum. It is built by its own go.mod (it replaces 30 modules), with the lines of
// pauses.patch changed.
module lab.local/eksctl

go 1.26.5

require github.com/weaveworks/eksctl v0.230.0
