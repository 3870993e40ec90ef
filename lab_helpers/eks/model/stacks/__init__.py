"""AWS::EKS::* for moto's CloudFormation. A class that is defined is registered: moto asks CloudFormationModel's subclasses.

A stack waits for its resources, as CloudFormation does; what fails ends the stack with EKS's words.
"""
