// A program that builds in a second: what the toolchain's tests build instead of Kubernetes.
package main

import "fmt"

var version = "1.2.3"

func main() { fmt.Println("tiny version " + version) }
