FROM corpus/golang-onbuild
#> prints hello from go (linux/native)
#> config WorkingDir "/go/src/app"
#> config OnBuild null
