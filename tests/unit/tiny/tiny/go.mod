module lab.local/tiny

go 1.21
