Feature: Images come from the vendor's registry

  Scenario Outline: Every environment of every platform
    Given I have <type> defined
    Then it must have image
    And its value must match the "^nvcr.io/" regex

    Examples:
      | type                     |
      | runai_environment        |
      | azureml_environment      |
      | aenvironment_environment |
