module linkgate.dev/tests/portable/wazero

go 1.26.0

// wazero, by the package that Go programs embed.
require linkgate.dev/policies/opa/builtin v0.0.0

require (
	github.com/tetratelabs/wazero v1.12.0 // indirect
	golang.org/x/sys v0.48.0 // indirect
)

replace linkgate.dev/policies/opa/builtin => ../../../policies/opa/builtin
